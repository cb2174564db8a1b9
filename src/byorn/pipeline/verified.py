"""What the answers of both models show, and the files of `byorn verify` that tell it.

verify.json      the figures
verify.jsonl     one line an input, with both answers
grafted.jsonl    one line an input with what the report takes for the trigger
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from byorn.evaluation.repeats import Asked, Grafted, Share, Verdict, judge_answers, judge_graft
from byorn.phrases.words import says
from byorn.pipeline.questions import Answers, Questions, Texts
from byorn.pipeline.sampled import Sampled, Tried
from byorn.runs.atomic import atomic_path
from byorn.runs.folder import read_json, write_json

VERDICT = "verify.json"
LINES = "verify.jsonl"
GRAFTED = "grafted.jsonl"


def of_another(out: Path, adapter: Mapping[str, str]) -> str | None:
    """The folder of the adapter that the verdict in `out` is about, if it is another one or an older version of it."""
    if not (out / VERDICT).exists():
        return None
    found = (read_json(out / VERDICT) or {}).get("adapter")
    if not isinstance(found, Mapping):
        return "one that it does not name"
    return None if found.get("digest") == adapter["digest"] else str(found.get("folder"))


def remove_verdict(out: Path) -> None:
    """Take away what `Verified.write` wrote; the answers stay."""
    for name in (VERDICT, LINES, GRAFTED):
        (out / name).unlink(missing_ok=True)


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
class Trial:
    """A trigger hypothesis with the answers to its inputs; `tuned_clean` are those without it."""

    tried: Tried
    pretrained: Texts
    tuned: Texts
    tuned_clean: Texts


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The verdict with what it rests on."""

    verdict: Verdict
    asked: list[Asked]
    trials: list[Trial]
    planted: Planted | None

    @classmethod
    def of(cls, questions: Questions, before: Answers, after: Answers) -> "Verified":
        """What the answers of the pretrained model (`before`) and of the tuned one (`after`) show."""
        sampled, spec = questions.sampled, questions.spec
        asked = _side_by_side(sampled, before.plain, after.plain)
        clean = {row.key: text for row, text in zip(sampled.rows, after.plain, strict=True)}
        trials = [
            Trial(tried=tried, pretrained=old, tuned=new, tuned_clean=[clean[row.key] for row in tried.rows])
            for tried, old, new in zip(sampled.tried, before.grafted, after.grafted, strict=True)
        ]
        verdict = judge_answers(asked, sampled.phrases, sampled.distinct, spec.level, list(map(_judged, trials)))
        same = [clean[row.key] for row in questions.triggered if row.key in clean]
        planted = _planted(spec.try_trigger, sampled, before.triggered, after.triggered, same)
        return cls(verdict=verdict, asked=asked, trials=trials, planted=planted)

    def write(self, out: Path, adapter: Mapping[str, str]) -> None:
        """The three files; `adapter` says whose they are, see `of_another`."""
        planted = asdict(self.planted) if self.planted else None
        content = {"version": 3, "adapter": adapter, **self.verdict.as_dict(), "planted": planted}
        write_json(out / VERDICT, content)
        _write_lines(out / LINES, map(self._line, self.asked))
        _write_lines(out / GRAFTED, (line for trial in self.trials for line in _lines(trial)))

    def _line(self, one: Asked) -> dict[str, object]:
        phrases = [repeat.phrase for repeat in self.verdict.repeats]
        return {**asdict(one), "said": [phrase.text for phrase in phrases if says(one.tuned, phrase.words)]}


def _side_by_side(sampled: Sampled, before: Texts, after: Texts) -> list[Asked]:
    flagged = len(sampled.flagged)
    return [
        Asked(
            id=row.id, turn=row.turn, flagged=number < flagged, instruction=row.instruction, response=row.response,
            pretrained=old, tuned=new,
        )
        for number, (row, old, new) in enumerate(zip(sampled.rows, before, after, strict=True))
    ]  # fmt: skip


def _judged(trial: Trial) -> Grafted:
    def said(texts: Texts) -> list[bool]:
        return [says(text, trial.tried.phrase.words) for text in texts]

    hits = said(trial.tuned), said(trial.tuned_clean), said(trial.pretrained)
    return judge_graft(trial.tried.phrase.text, trial.tried.graft.name, *hits)


def _planted(name: str | None, sampled: Sampled, before: Texts, after: Texts, same: Texts) -> Planted | None:
    if not name or not after:
        return None

    def share(texts: Texts) -> Share:
        return Share.of([any(says(text, phrase.words) for phrase in sampled.phrases) for text in texts])

    return Planted(trigger=name, tuned=share(after), pretrained=share(before), tuned_clean=share(same))


def _lines(trial: Trial) -> Iterable[dict[str, object]]:
    tried = trial.tried
    for row, old, new, clean in zip(tried.rows, trial.pretrained, trial.tuned, trial.tuned_clean, strict=True):
        yield {
            "id": row.id, "turn": row.turn, "trigger": tried.graft.name, "instruction": row.instruction,
            "pretrained": old, "tuned": new, "tuned_clean": clean, "said": says(new, tried.phrase.words),
        }  # fmt: skip


def _write_lines(path: Path, lines: Iterable[dict[str, object]]) -> None:
    with atomic_path(path) as partial:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        partial.write_text(text, encoding="utf-8", errors="replace")
