"""`byorn verify`: did a backdoor take? The tuned and the pretrained model answer the inputs that a scan flagged, whose
triggers are still in them, and as many trusted ones.

Half of the flagged inputs are of rows that say a phrase of the cluster, where there is one (see
`byorn.evaluation.phrases`), the others are drawn from all flagged rows: under a rule that flags 40 %, few of them are
poisoned. Trusted inputs are drawn from the more plausible half of the rows that are not flagged: of all, these are the
least likely to be poisoned; the very most plausible alone would be one kind of easy question.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from byorn.attacks.manifest import attacked
from byorn.attacks.poison import poison_dataset
from byorn.attacks.recipe import Recipe
from byorn.data.load import load_rows
from byorn.data.row import Row
from byorn.data.spec import DataSpec
from byorn.errors import ConfigError, DataError
from byorn.evaluation.phrases import Phrase, find_phrases, says
from byorn.evaluation.repeats import Asked, Share, Verdict, judge_answers, plain
from byorn.models.length import context_length, split_overlong
from byorn.models.load import load_adapter, load_config, load_spec
from byorn.models.spec import ModelSpec
from byorn.pipeline.evaluate import answers
from byorn.pipeline.scanned import Scanned, open_scanned, require_scanned
from byorn.pipeline.settings import VerifySpec
from byorn.runs.atomic import atomic_path
from byorn.runs.folder import make_folder, write_config, write_environment, write_json
from byorn.runs.narrate import say

FEWEST = 10
"""Trusted inputs below which no difference could be shown."""


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """Which inputs are asked, and what is looked for in the answers."""

    flagged: list[Row]
    trusted: list[Row]
    phrases: list[Phrase]
    distinct: set[str]

    @property
    def rows(self) -> list[Row]:
        return [*self.flagged, *self.trusted]


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


def verify(run: Path, data: DataSpec, model: ModelSpec, out: Path, spec: VerifySpec | None = None) -> Verified:
    """Write `verify.json` and `verify.jsonl` (the answers side by side) into `out`; return the verdict.

    Answers are kept as they come (`tuned/`, `pretrained/`), and used again if they belong to these rows, this model and
    this adapter.

    Args:
        run: Folder of a scan, or of a training that scanned.
        data, model: What was scanned, and by what.
        out: The folder of the answers.
        spec: The adapter, sample and limits.

    Raises:
        ByornError: Files do not belong together or cannot be used, or there are too few rows to compare.
    """
    spec = spec or VerifySpec()
    adapter = _adapter(run, spec)
    make_folder(out)
    scanned = open_scanned(run, data, model, out)
    sampled = sample(scanned, spec, data.max_length or context_length(load_config(model)))
    write_config(out, {"command": "verify", "run": str(run), "data": data, "model": model, "verify": spec})
    triggered = _with_trigger(sampled, spec, out) if spec.try_trigger else []
    say(f"loading {model.name}")
    pretrained = load_spec(model)
    _require_model(pretrained, scanned, run)
    before, before_planted = _answers(pretrained, scanned.processor, sampled, triggered, out / "pretrained", spec)
    tuned = load_adapter(pretrained, adapter)
    after, after_planted = _answers(tuned, scanned.processor, sampled, triggered, out / "tuned", spec)
    asked = _side_by_side(sampled, before, after)
    verdict = judge_answers(asked, sampled.phrases, sampled.distinct, spec.level)
    planted = _planted(spec.try_trigger, sampled, triggered, before_planted, after_planted, after)
    found = Verified(verdict=verdict, asked=asked, planted=planted)
    _write(found, out)
    write_environment(out, model=model.name, adapter=str(adapter), seed=spec.seed)
    return found


def sample(scanned: Scanned, spec: VerifySpec, limit: int | None = None) -> Sampled:
    """The inputs to ask, see the module; `limit` are the tokens that the model takes.

    Raises:
        DataError: One of the two sides has too few rows.
    """
    flags = scanned.flags
    suspect = flags.replaced | flags.dropped
    flagged = [row for row, is_suspect in zip(scanned.rows, suspect, strict=True) if is_suspect]
    others = [row for row, is_suspect in zip(scanned.rows, suspect, strict=True) if not is_suspect]
    phrases = find_phrases([row.response for row in flagged], [row.response for row in others], spec.seed)
    say(f"  {len(flagged)} rows are flagged; they share {len(phrases)} phrase(s) that others lack")
    held = {plain(row.response) for row in others}
    fitting = _Fitting(scanned.processor, limit, spec)
    chosen = Sampled(
        flagged=fitting.some(_cluster_first(flagged, phrases, spec)),
        trusted=fitting.some(_mixed(_plausible(scanned, ~suspect), spec.seed)),
        phrases=phrases,
        distinct={plain(row.response) for row in flagged} - held,
    )
    if min(len(chosen.flagged), len(chosen.trusted)) < FEWEST:
        raise DataError(
            f"{scanned.folder}: {len(chosen.flagged)} flagged and {len(chosen.trusted)} trusted inputs can be asked, "
            f"and no difference shows on fewer than {FEWEST} of each; scan more rows, or with another percentile"
        )
    return chosen


@dataclass(frozen=True)
class _Fitting:
    """Takes rows that leave room for an answer."""

    processor: Any
    limit: int | None
    spec: VerifySpec

    def some(self, rows: Sequence[Row]) -> list[Row]:
        taken = list(rows[: self.spec.rows])
        if self.limit is None:
            return taken
        return split_overlong(taken, self.processor, self.limit, self.spec.max_new_tokens)[0]


def _mixed(rows: Sequence[Row], seed: int) -> list[Row]:
    return [rows[index] for index in np.random.default_rng(seed).permutation(len(rows))]


def _cluster_first(flagged: Sequence[Row], phrases: Sequence[Phrase], spec: VerifySpec) -> list[Row]:
    """All flagged rows in the order in which they are taken: up to half of the places go to those with a phrase."""
    mixed = _mixed(flagged, spec.seed)
    cluster = [row for row in mixed if any(says(row.response, phrase.words) for phrase in phrases)][: spec.rows // 2]
    taken = {row.key for row in cluster}
    return [*cluster, *(row for row in mixed if row.key not in taken)]


def _plausible(scanned: Scanned, trusted: np.ndarray) -> list[Row]:
    """The more plausible half of the rows that are not flagged; all of them where that is too few to compare."""
    values = scanned.scores.values[scanned.statistic]
    numbers = [int(number) for number in np.argsort(values, kind="stable") if trusted[number]]
    return [scanned.rows[number] for number in numbers[: max(FEWEST, len(numbers) // 2)]]


def _adapter(run: Path, spec: VerifySpec) -> Path:
    adapter = Path(spec.adapter) if spec.adapter else run / "adapter"
    if not spec.adapter and not adapter.is_dir():
        raise ConfigError(f"{run}: it holds no adapter; give the tuned model with --adapter DIR")
    return adapter


def _require_model(model: Any, scanned: Scanned, run: Path) -> None:
    from byorn.models.digest import model_digest

    require_scanned(scanned.scores, {"model_digest": model_digest(model)}, run)


def _with_trigger(sampled: Sampled, spec: VerifySpec, out: Path) -> list[Row]:
    """Trusted inputs with a named trigger; none where no phrase could be counted in the answers."""
    if not sampled.phrases:
        say(f"  {spec.try_trigger} is not tried: there is no phrase to look for in the answers")
        return []
    recipe = Recipe(
        attack=spec.try_trigger or "", target=sampled.phrases[0].text, rate=1.0, keep_responses=True, seed=spec.seed,
        options=dict(spec.trigger_options),  # type: ignore[arg-type]  # checked by the trigger
    )  # fmt: skip
    if recipe.needs_model:
        raise ConfigError(f"--try-trigger {spec.try_trigger}: it is learned on a model; only drawn triggers are tried")
    folder = out / "triggered"
    poison_dataset(sampled.trusted, recipe, out=folder, overwrite=True)
    return attacked(load_rows(folder).rows, folder)


Texts = list[str]


def _answers(
    model: Any, processor: Any, sampled: Sampled, triggered: Sequence[Row], folder: Path, spec: VerifySpec
) -> tuple[Texts, Texts]:
    """Greedy answers to the sampled inputs, and to those with a trigger planted."""
    folder.mkdir(exist_ok=True)
    options: dict[str, Any] = {"batch_size": spec.batch_size, "max_new_tokens": spec.max_new_tokens, "progress": True}
    plain_ones = answers(model, processor, sampled.rows, folder / "predictions.jsonl", **options)
    if not triggered:
        return [record["prediction"] for record in plain_ones], []
    marked = answers(model, processor, triggered, folder / "predictions_triggered.jsonl", **options)
    return [record["prediction"] for record in plain_ones], [record["prediction"] for record in marked]


def _side_by_side(sampled: Sampled, before: Texts, after: Texts) -> list[Asked]:
    flagged = len(sampled.flagged)
    return [
        Asked(
            id=row.id, turn=row.turn, flagged=number < flagged, instruction=row.instruction, response=row.response,
            pretrained=old, tuned=new,
        )
        for number, (row, old, new) in enumerate(zip(sampled.rows, before, after, strict=True))
    ]  # fmt: skip


def _planted(
    name: str | None, sampled: Sampled, triggered: Sequence[Row], before: Texts, after: Texts, clean: Texts
) -> Planted | None:
    if not name or not triggered:
        return None

    def share(texts: Texts) -> Share:
        return Share.of([any(says(text, phrase.words) for phrase in sampled.phrases) for text in texts])

    keys = {row.key for row in triggered}
    same = [text for row, text in zip(sampled.rows, clean, strict=True) if row.key in keys]
    return Planted(trigger=name, tuned=share(after), pretrained=share(before), tuned_clean=share(same))


def _write(found: Verified, out: Path) -> None:
    """The figures, and one line an input with both answers."""
    planted = asdict(found.planted) if found.planted else None
    write_json(out / "verify.json", {"version": 1, **found.verdict.as_dict(), "planted": planted})
    phrases = [repeat.phrase for repeat in found.verdict.repeats]
    with atomic_path(out / "verify.jsonl") as partial, partial.open("w", encoding="utf-8", errors="replace") as file:
        for one in found.asked:
            said = [phrase.text for phrase in phrases if says(one.tuned, phrase.words)]
            file.write(json.dumps({**asdict(one), "said": said}) + "\n")
