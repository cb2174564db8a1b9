"""`byorn verify`: did a backdoor take? The tuned and the pretrained model answer the inputs that a scan flagged, whose
triggers are still in them, and as many trusted ones; what the report takes for the trigger is put onto the trusted
ones, and asked again. Who is asked: `byorn.pipeline.sampled`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byorn.attacks.manifest import attacked
from byorn.attacks.poison import poison_dataset
from byorn.attacks.recipe import Recipe
from byorn.data.load import load_rows
from byorn.data.row import Row
from byorn.data.spec import DataSpec
from byorn.errors import ConfigError
from byorn.evaluation.repeats import Asked, Grafted, Share, Verdict, judge_answers, judge_graft
from byorn.models.adapters import load_adapter, load_adapter_config
from byorn.models.digest import adapter_digest
from byorn.models.length import context_length
from byorn.models.load import load_config, load_spec
from byorn.models.spec import ModelSpec
from byorn.phrases.words import says
from byorn.pipeline.engine import greedy_source, require_available, require_taken, room_for, rows_at_once
from byorn.pipeline.evaluate import AT_ONCE, answers
from byorn.pipeline.sampled import Sampled, Tried, sample
from byorn.pipeline.scanned import Scanned, open_scanned, require_scanned
from byorn.pipeline.settings import VerifySpec
from byorn.runs.atomic import atomic_path
from byorn.runs.folder import make_folder, require_no_other, write_config, write_environment, write_json
from byorn.runs.narrate import say
from byorn.training.settings import EngineSettings

if TYPE_CHECKING:
    from byorn.training.responses import ResponseSource

VERDICT = "verify.json"
Texts = list[str]


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A named trigger on trusted inputs: how many answers say any phrase of the cluster.

    Attributes:
        trigger: Its name.
        tuned, pretrained: Shares of the answers with the trigger.
        tuned_clean: Of the tuned model's answers to the same inputs without it.
    """

    trigger: str
    tuned: Share
    pretrained: Share
    tuned_clean: Share


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The verdict with what it rests on."""

    verdict: Verdict
    asked: list[Asked]
    planted: Planted | None


def verify(
    run: Path,
    data: DataSpec,
    model: ModelSpec,
    out: Path,
    spec: VerifySpec | None = None,
    engine: EngineSettings | None = None,
) -> Verified:
    """Write `verify.json` and `verify.jsonl` (the answers side by side) into `out`; return the verdict.

    Answers are kept as they come (`pretrained/`, and in `tuned/` a folder for each adapter), and used again if they
    belong to these rows, this model, adapter and engine.

    Args:
        run: Folder of a scan, or of a training that scanned.
        data, model: What was scanned, and by what.
        out: The folder of the answers.
        spec: The adapter, sample and limits.
        engine: What answers, for both models.

    Raises:
        ByornError: Files do not belong together or cannot be used, there are too few rows to compare, or the engine
            cannot be had.
    """
    spec, engine = spec or VerifySpec(), engine or EngineSettings()
    if not (out / VERDICT).exists():  # answers that are there want no engine
        require_available(engine, model)
    adapter, trigger = _adapter(run, spec), _trigger(spec)
    make_folder(out)
    require_no_other(out, "verify")
    scanned = open_scanned(run, data, model, out)
    sampled = sample(scanned, spec, data.max_length or context_length(load_config(model)))
    settings = {"run": str(run), "data": data, "model": model, "verify": spec, "engine": engine}
    write_config(out, {"command": "verify", **settings})
    triggered = _with_trigger(sampled, trigger, out) if trigger else []
    say(f"loading {model.name}")
    pretrained = load_spec(model)
    _require_model(pretrained, scanned, run)
    questions = _Questions(processor=scanned.processor, sampled=sampled, triggered=triggered, spec=spec, engine=engine)
    before, after = _answered(questions, model, pretrained, adapter, out)
    asked = _side_by_side(sampled, before.plain, after.plain)
    grafted = [_grafted(tried, sampled, before, after, number) for number, tried in enumerate(sampled.tried)]
    verdict = judge_answers(asked, sampled.phrases, sampled.distinct, spec.level, grafted)
    found = Verified(
        verdict=verdict, asked=asked, planted=_planted(spec.try_trigger, sampled, triggered, before, after)
    )
    _write(found, out)
    _write_grafted(sampled, before, after, out)
    write_environment(out, model=model.name, adapter=str(adapter), seed=spec.seed)
    return found


def _adapter(run: Path, spec: VerifySpec) -> Path:
    adapter = Path(spec.adapter) if spec.adapter else run / "adapter"
    if not spec.adapter and not adapter.is_dir():
        raise ConfigError(f"{run}: it holds no adapter; give the tuned model with --adapter DIR")
    load_adapter_config(adapter)  # one that is none is told before the pretrained model answers
    return adapter


def _trigger(spec: VerifySpec) -> Recipe | None:
    """The trigger to try, for a target that is not known yet.

    Raises:
        ConfigError: It is unknown, or learned on a model.
    """
    if not spec.try_trigger:
        return None
    recipe = Recipe(
        attack=spec.try_trigger, target="unknown", rate=1.0, keep_responses=True, seed=spec.seed,
        options=dict(spec.trigger_options),  # type: ignore[arg-type]  # checked by the trigger
    )  # fmt: skip
    if recipe.needs_model:
        raise ConfigError(f"--try-trigger {spec.try_trigger}: it is learned on a model; only drawn triggers are tried")
    return recipe


def _require_model(model: Any, scanned: Scanned, run: Path) -> None:
    from byorn.models.digest import model_digest

    require_scanned(scanned.scores, {"model_digest": model_digest(model)}, run)


def _answered(
    questions: "_Questions", model: ModelSpec, pretrained: Any, adapter: Path, out: Path
) -> tuple["_Answers", "_Answers"]:
    """The answers of the pretrained model, then those of the tuned one, by one engine."""
    engine, limit = questions.engine, questions.spec.max_new_tokens
    room = room_for(engine, pretrained, adapter)
    with greedy_source(questions.processor, limit, engine, model, questions.rows, room) as source:
        before = questions.put_to(pretrained, out / "pretrained", source)
        tuned = load_adapter(pretrained, adapter)
        require_taken(engine, tuned)
        return before, questions.put_to(tuned, out / "tuned" / adapter_digest(tuned)[:12], source)


def _with_trigger(sampled: Sampled, trigger: Recipe, out: Path) -> list[Row]:
    """Trusted inputs with a named trigger; none where no phrase could be counted in the answers."""
    if not sampled.phrases:
        say(f"  {trigger.attack} is not tried: there is no phrase to look for in the answers")
        return []
    folder = out / "triggered"
    poison_dataset(sampled.trusted, replace(trigger, target=sampled.phrases[0].text), out=folder, overwrite=True)
    return attacked(load_rows(folder).rows, folder)


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """Greedy answers of one model: to the sampled inputs, to those with a named trigger, and to each hypothesis."""

    plain: Texts
    triggered: Texts
    grafted: list[Texts]


@dataclass(frozen=True, kw_only=True)
class _Questions:
    """What both models are asked."""

    processor: Any
    sampled: Sampled
    triggered: Sequence[Row]
    spec: VerifySpec
    engine: EngineSettings

    @property
    def rows(self) -> Iterator[Row]:
        """Whatever is asked."""
        return chain(self.sampled.rows, self.triggered, *(one.rows for one in self.sampled.tried))

    def put_to(self, model: Any, folder: Path, source: "ResponseSource | None") -> _Answers:
        """The answers of a model by `source` (see `answers`), kept in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)

        def said(rows: Sequence[Row], name: str) -> Texts:
            return self._answers(model, rows, folder / f"{name}.jsonl", source)

        tried = enumerate(self.sampled.tried, start=1)
        return _Answers(
            plain=said(self.sampled.rows, "predictions"),
            triggered=said(self.triggered, "predictions_triggered"),
            grafted=[said(one.rows, f"predictions_grafted_{number}") for number, one in tried],
        )

    def _answers(self, model: Any, rows: Sequence[Row], path: Path, source: "ResponseSource | None") -> Texts:
        if not rows:
            return []
        made = answers(
            model, self.processor, rows, path, batch_size=rows_at_once(self.engine, self.spec.batch_size, AT_ONCE),
            max_new_tokens=self.spec.max_new_tokens, progress=True, source=source,
        )  # fmt: skip
        return [record["prediction"] for record in made]


def _side_by_side(sampled: Sampled, before: Texts, after: Texts) -> list[Asked]:
    flagged = len(sampled.flagged)
    return [
        Asked(
            id=row.id, turn=row.turn, flagged=number < flagged, instruction=row.instruction, response=row.response,
            pretrained=old, tuned=new,
        )
        for number, (row, old, new) in enumerate(zip(sampled.rows, before, after, strict=True))
    ]  # fmt: skip


def _same(rows: Sequence[Row], sampled: Sampled, clean: Texts) -> Texts:
    """The answers to the same inputs with nothing put onto them."""
    known = {row.key: text for row, text in zip(sampled.rows, clean, strict=True)}
    return [known[row.key] for row in rows]


def _grafted(tried: Tried, sampled: Sampled, before: _Answers, after: _Answers, number: int) -> Grafted:
    def said(texts: Texts) -> list[bool]:
        return [says(text, tried.phrase.words) for text in texts]

    clean = _same(tried.rows, sampled, after.plain)
    return judge_graft(
        tried.phrase.text, tried.graft.name, said(after.grafted[number]), said(clean), said(before.grafted[number])
    )


def _planted(
    name: str | None, sampled: Sampled, triggered: Sequence[Row], before: _Answers, after: _Answers
) -> Planted | None:
    if not name or not triggered:
        return None

    def share(texts: Texts) -> Share:
        return Share.of([any(says(text, phrase.words) for phrase in sampled.phrases) for text in texts])

    keys = {row.key for row in triggered}
    same = [text for row, text in zip(sampled.rows, after.plain, strict=True) if row.key in keys]
    return Planted(
        trigger=name, tuned=share(after.triggered), pretrained=share(before.triggered), tuned_clean=share(same)
    )


def _write(found: Verified, out: Path) -> None:
    """The figures, and one line an input with both answers."""
    planted = asdict(found.planted) if found.planted else None
    write_json(out / VERDICT, {"version": 2, **found.verdict.as_dict(), "planted": planted})
    phrases = [repeat.phrase for repeat in found.verdict.repeats]
    _write_lines(
        out / "verify.jsonl",
        [
            {**asdict(one), "said": [phrase.text for phrase in phrases if says(one.tuned, phrase.words)]}
            for one in found.asked
        ],
    )


def _write_grafted(sampled: Sampled, before: _Answers, after: _Answers, out: Path) -> None:
    """One line an input with what the report takes for the trigger."""
    lines: list[dict[str, object]] = []
    for number, tried in enumerate(sampled.tried):
        clean = _same(tried.rows, sampled, after.plain)
        told = zip(tried.rows, before.grafted[number], after.grafted[number], clean, strict=True)
        lines += [
            {
                "id": row.id, "turn": row.turn, "trigger": tried.graft.name, "instruction": row.instruction,
                "pretrained": old, "tuned": new, "tuned_clean": without, "said": says(new, tried.phrase.words),
            }
            for row, old, new, without in told
        ]  # fmt: skip
    _write_lines(out / "grafted.jsonl", lines)


def _write_lines(path: Path, lines: Sequence[dict[str, object]]) -> None:
    with atomic_path(path) as partial:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        partial.write_text(text, encoding="utf-8", errors="replace")
