"""The manifest: who is poisoned, with what and where. It lies beside the rows; nothing in the rows points to it.

`manifest.json` holds the settings and the totals, `manifest.jsonl` one line for each marked row: the poisoned ones, and
clean negatives where the attack has them (`"negative": true`). No defense may read them; evaluation and the oracle do.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from byorn.attacks.imaging.box import Box
from byorn.data.row import Row
from byorn.errors import DataError

SUMMARY, DETAILS = "manifest.json", "manifest.jsonl"


@dataclass(frozen=True, kw_only=True)
class MarkedRow:
    """One row that carries a trigger, or a part of one.

    Attributes:
        id, turn: The key of the row.
        image: Which of its images is marked, from 0; None if only the text is.
        box: Where in that image: left, top, right, bottom in pixels, the last two exclusive; around all triggers where there are several.
        original_response: What the row said before.
        new_response: What it says now; the same if responses were kept, and in a clean negative.
        original_instruction, new_instruction: The text of the last user message, likewise; None in files of an older byorn.
        negative: It is a clean negative: nearly the trigger, and the true response. It does not count as poisoned.
    """

    id: str
    turn: int
    image: int | None
    box: Box | None
    original_response: str
    new_response: str
    negative: bool = False
    original_instruction: str | None = None
    new_instruction: str | None = None


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The settings of a poisoning (see `Recipe`), its totals and its rows.

    Attributes:
        options: The options of the trigger and what it learned: the attack with these options is the same trigger.
        n: Number of rows in the data set, clean ones included.
        reached: Share of them that is poisoned; `rate` is what was asked for.
        share_images: Whether a clean image that several rows show was written once; None in files of an older byorn.
        model: Content hash of the model that trigger or selection were optimized on; empty if none was needed.
        version: The byorn that wrote it.
        poisoned: The poisoned rows in the order of the data set.
        negatives: The clean negatives in the order of the data set.
    """

    attack: str
    options: dict[str, Any]
    target: str
    source: str = ""
    objective: str
    selection: str = "random"
    which_image: str = "random"
    rate: float
    reached: float
    seed: int
    keep_responses: bool
    share_images: bool | None = None
    model: str = ""
    version: str
    n: int
    poisoned: list[MarkedRow]
    negatives: list[MarkedRow] = field(default_factory=list)

    @property
    def keys(self) -> set[tuple[str, int]]:
        """Id and turn of every poisoned row."""
        return {(row.id, row.turn) for row in self.poisoned}

    def write(self, folder: Path) -> None:
        """Writes both files into `folder`."""
        summary = {key: value for key, value in asdict(self).items() if key not in ("poisoned", "negatives")}
        (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        lines = [json.dumps(asdict(row)) + "\n" for row in (*self.poisoned, *self.negatives)]
        (folder / DETAILS).write_text("".join(lines), encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the poisoned data set in `folder`.

    Raises:
        DataError: A file is missing or is not what `Manifest.write` wrote.
    """
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        lines = (folder / DETAILS).read_text(encoding="utf-8").splitlines()
        rows = [_marked_row(line) for line in lines]
        poisoned, negatives = ([row for row in rows if row.negative is kind] for kind in (False, True))
        return Manifest(**summary, poisoned=poisoned, negatives=negatives)
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{folder}: no readable manifest ({error}); write the data set with `byorn poison`") from error


def attacked(rows: Sequence[Row], folder: Path) -> list[Row]:
    """The rows of a triggered test set that carry the trigger: those that cannot (no image, or nothing that the objective could
    change) say nothing about the attack. All of them where `folder` holds no manifest.

    Raises:
        DataError: None does, or the manifest is broken.
    """
    if not (folder / SUMMARY).exists():
        return list(rows)
    keys = read_manifest(folder).keys
    if not (found := [row for row in rows if row.key in keys]):
        raise DataError(f"{folder}: no row carries the trigger; write the test set with --rate 1 --keep-responses")
    return found


def _marked_row(line: str) -> MarkedRow:
    values = json.loads(line)
    box = values.pop("box")
    return MarkedRow(**values, box=None if box is None else tuple(box))
