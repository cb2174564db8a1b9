"""What `byorn rewrite` did, and how it is told."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from byorn.data.layout import split_called, split_of_folder
from byorn.data.opened import DataFile
from byorn.data.spec import DataSpec
from byorn.runs.narrate import say
from byorn.text import shown

DATA = "data"
QUARANTINE = "quarantine"
GIVEN_UP = {
    "drop": "against byorn train, the inputs of these rows are lost too, clean ones among them",
    "replace": "against byorn train, each response is drawn once and learned at every pass, where training draws "
    "anew at each visit from a moving average that gets better with it",
    "mark": "against byorn train, nothing is defended yet: whoever trains on it must leave the marked responses out",
}


@dataclass(frozen=True, kw_only=True)
class Rewritten:
    """What a rewriting did.

    Attributes:
        mode: `drop`, `replace` or `mark`.
        records: Records in the data set now.
        quarantined: Records in the quarantine.
        replaced: Responses that are new.
        truncated: Those of them that ran into the length limit.
        blank: Rows for which the model had nothing but blank responses; their records are in the quarantine.
        marked: Records that are marked as flagged.
        rejected: Records that were never scored as a whole, and are in neither.
    """

    mode: str
    records: int
    quarantined: int
    replaced: int = 0
    truncated: int = 0
    blank: int = 0
    marked: int = 0
    rejected: int = 0


def warn_of_split(data: DataSpec, files: Sequence[DataFile]) -> None:
    """Say if the split, or else the names of files and folder, are those of data that nobody should train on."""
    inside = [part for file in files for part in Path(file.name).parts]
    names = [Path(data.source).resolve().name, *inside] if files else []  # the name of a data set on the Hub is none
    said = {split: name for name in names if (split := split_of_folder(name))}
    if split_called(data.split) in ("validation", "test"):
        said = {split_called(data.split): data.split}
    if said and "train" not in said:
        split, name = next(iter(said.items()))
        say(f"  warning: {shown(name)} is named as a {split} split is; scan and rewrite the one that is trained on")


def tell(result: Rewritten, out: Path) -> None:
    """Say what was done, and what it gives up against `byorn train`."""
    facts = asdict(result)
    done = {
        "drop": f"{result.records} records in {out / DATA}",
        "replace": f"{result.records} records in {out / DATA}, {result.replaced} responses of them sampled",
        "mark": f"{result.records} records in {out / DATA}, {result.marked} of them marked as flagged",
    }[result.mode]
    say(done + (f"; {result.quarantined} in {out / QUARANTINE}" if result.quarantined else ""), **facts)
    if result.truncated:
        say(
            f"  {result.truncated} sampled responses ran into the length limit and end there; see --max-response-tokens"
        )
    if result.blank:
        say(f"  {result.blank} rows got nothing but blank responses; their records are in the quarantine")
    if result.rejected:
        say(f"  {result.rejected} records were never scored as a whole and are in neither; see {out / 'rejects.jsonl'}")
    say(f"  {GIVEN_UP[result.mode]}")
