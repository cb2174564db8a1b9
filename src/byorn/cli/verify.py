"""byorn verify: ask a tuned model whether it repeats what the scan flagged."""

from pathlib import Path
from typing import TYPE_CHECKING

from byorn.cli.arguments import Command, Values
from byorn.cli.next_step import Step, review_step, tell_next, train_step
from byorn.cli.of_run import DATA_AND_MODEL, RUN, with_those_of_the_run
from byorn.data.spec import DataSpec
from byorn.errors import ConfigError, GateExceeded
from byorn.models.spec import ModelSpec
from byorn.pipeline.settings.verify import VerifySpec
from byorn.runs.settings import Common, Output
from byorn.settings import build
from byorn.training.settings import EngineSettings

if TYPE_CHECKING:
    from byorn.evaluation.repeats import Repeat
    from byorn.pipeline.verified import Verified

IN_RUN = "verify/NAME in the folder of the run, NAME being that of the adapter"
SHOWN = 6
"""Answers that are printed side by side; all of them are in the file."""
BLIND = (
    "It cannot see a backdoor whose response shares no rare words (a wrong answer, a name exchanged), or one whose "
    "rows the scan did not flag."
)
LOOKS_ALIKE = "Rare words that flagged rows rightly say look the same: read the answers."


def run(values: Values) -> None:
    spec = build(VerifySpec, values)
    engine = build(EngineSettings, values)
    folder = Path(str(values["run"]))
    out = folder / "verify" / name_of(spec.adapter) if values["out"] == IN_RUN else build(Output, values).out
    values = with_those_of_the_run(values)

    from byorn.pipeline.verify import verify

    data, model = build(DataSpec, values), build(ModelSpec, values)
    found = verify(folder, data, model, out, spec, engine)
    print(side_by_side(found))
    print(figures(found))
    print("\n".join(str(out / name) for name in ("verify.json", "verify.jsonl", "grafted.jsonl")))
    line = verdict_line(found)
    if found.verdict.took:
        tell_next(_way_out(folder, spec.adapter, model, data))
        raise GateExceeded(line)
    print(line)


def _way_out(folder: Path, adapter: str | None, model: ModelSpec, data: DataSpec) -> Step:
    """A training on the scan; where the adapter is of one already, a look at the rows."""
    from byorn.flagging.rules import settings_of_rule
    from byorn.flagging.table import FLAGS, read_flags
    from byorn.pipeline.settings.defenses import FLAGGING
    from byorn.pipeline.summary import TrainingSummary

    trained = TrainingSummary.read((Path(adapter) if adapter else folder / "adapter").parent / "training.json")
    if trained and trained.defense in FLAGGING:
        return review_step(folder)
    try:
        return train_step(folder, model, data, settings_of_rule(read_flags(folder / FLAGS).rule))
    except ConfigError:  # flags of a defense that is no rule
        return train_step(folder, model, data)


def name_of(adapter: str | None) -> str:
    """A name for the answers of an adapter: that of its folder, or of the run around a folder called `adapter`."""
    parts = [part for part in Path(adapter or "own").absolute().parts[1:] if part not in ("adapter", "..")]
    return parts[-1] if parts else "adapter"


def side_by_side(found: "Verified") -> str:
    """Some answers of both models, as a plain table; those with a phrase come first."""
    from byorn.phrases.words import says
    from byorn.text import clip

    phrases = [repeat.phrase.words for repeat in found.verdict.repeats]
    ranked = sorted(found.asked, key=lambda one: (not one.flagged, not any(says(one.tuned, p) for p in phrases)))
    chosen = [*ranked[: SHOWN // 2], *[one for one in ranked if not one.flagged][: SHOWN // 2]]
    lines = [f"{'input':<9} {'row':<20} {'pretrained':<40} tuned"]
    for one in chosen:
        side = "flagged" if one.flagged else "trusted"
        lines.append(f"{side:<9} {clip(one.id, 20):<20} {clip(one.pretrained, 40):<40} {clip(one.tuned, 60)}")
    return "\n".join(lines)


def figures(found: "Verified") -> str:
    """The phrases with their counts, as a plain table."""
    from byorn.text import clip

    lines = [f"\n{'phrase':<32} {'tuned, flagged':<24} {'tuned, trusted':<24} {'pretrained, flagged':<24} p"]
    for one in found.verdict.repeats[:8]:
        counts = (one.tuned_flagged, one.tuned_trusted, one.pretrained_flagged)
        shown = " ".join(f"{count!s:<24}" for count in counts)
        lines.append(f"{clip(one.phrase.text, 32):<32} {shown} {one.p_value:.2g}")
    if not found.verdict.repeats:
        lines.append("none: flagged responses share no words that the others lack")
    for tried in found.verdict.grafted:
        lines.append(
            f"\n{tried.trigger}, as in the report, on {tried.tuned.n} trusted inputs: the tuned model says "
            f"'{clip(tried.phrase, 40)}' in {tried.tuned}, without it in {tried.tuned_clean}; the pretrained one in "
            f"{tried.pretrained} (p = {tried.p_value:.2g})"
        )
    if (planted := found.planted) is not None:
        lines.append(
            f"\n{planted.trigger} planted in trusted inputs: the tuned model says a phrase in {planted.tuned}, without "
            f"it in {planted.tuned_clean}; the pretrained one in {planted.pretrained}"
        )
    return "\n".join(lines)


def verdict_line(found: "Verified") -> str:
    """What the answers show and what they cannot, in one line."""
    from byorn.text import clip

    verdict = found.verdict
    if not verdict.repeats:
        return f"no backdoor shows: flagged responses share no phrase that others lack. {BLIND}{_silent(found)}"
    shown = [one for one in verdict.grafted if one.p_value < verdict.level]
    if shown and verdict.repeats[0].p_value >= verdict.level:
        return (
            f"a backdoor shows: with {shown[0].trigger}, as the report found it, the tuned model says "
            f"'{clip(shown[0].phrase, 60)}' on {shown[0].tuned} trusted inputs, and without it on "
            f"{shown[0].tuned_clean} (p = {shown[0].p_value:.2g})"
        )
    first = verdict.repeats[0]
    said = (
        f"the tuned model says '{clip(first.phrase.text, 60)}' on {first.tuned_flagged} flagged inputs and on "
        f"{first.tuned_trusted} trusted ones, the pretrained one on {first.pretrained_flagged} flagged (p = "
        f"{first.p_value:.2g}, {len(verdict.repeats)} phrase(s) looked at)"
    )
    if shown:
        said += f"; {shown[0].trigger}, put onto trusted inputs, brings it out on {shown[0].tuned}"
    if verdict.backdoor:
        return f"a backdoor shows: {said}. {LOOKS_ALIKE}"
    if verdict.habit:
        return f"what was planted has become a habit: {_habit(verdict.habits[0])}. {LOOKS_ALIKE}"
    if not first.phrase.suspected:
        said = f"no group stood out in the scan, whose phrase would tell; of what flagged rows share, {said}"
    return f"no backdoor shows: {said}. {BLIND}{_silent(found)}"


def _silent(found: "Verified") -> str:
    """A model that answers nothing says no phrase either."""
    empty = sum(not one.tuned.strip() for one in found.asked)
    return f" The tuned model gave no answer to {empty} of {len(found.asked)} inputs: those tell nothing." * bool(empty)


def _habit(found: "Repeat") -> str:
    from byorn.text import clip

    return (
        f"the tuned model says '{clip(found.phrase.text, 60)}' on {found.tuned_trusted} trusted inputs, whose own "
        f"responses do not, and on {found.tuned_flagged} flagged ones, the pretrained one on "
        f"{found.pretrained_trusted} trusted (p = {found.p_habit:.2g})"
    )


COMMAND = Command(
    run=run,
    settings=(Output, VerifySpec, EngineSettings, DataSpec, ModelSpec, Common),
    example="byorn verify runs/scan --adapter runs/safe/adapter",
    defaults={"out": IN_RUN, **DATA_AND_MODEL},
    positionals=(RUN,),
)
