"""The manifest: who is poisoned, with what and where. It lies beside the rows; nothing in the rows points to it.

`manifest.json` holds the recipe and the totals, `manifest.jsonl` one line for each marked row: the poisoned ones, and
clean negatives where the attack has them (`"negative": true`). No defense may read them; evaluation and the oracle do.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from byorn.attacks.imaging.box import Box
from byorn.attacks.recipe import Recipe
from byorn.data.row import Row
from byorn.errors import ConfigError, DataError

SUMMARY = "manifest.json"
DETAILS = "manifest.jsonl"
ORDER = (
    *("attack", "options", "target", "source", "objective", "selection", "which_image", "rate", "reached", "seed"),
    *("keep_responses", "share_images", "model", "version", "n"),
)
"""The keys of `manifest.json`: the fields of the recipe and the totals, side by side."""
TOTALS = ("reached", "share_images", "model", "version", "n")
LATER = ("source", "selection", "which_image", "share_images", "model")
"""Keys that files of an older byorn may lack."""


@dataclass(frozen=True, kw_only=True)
class MarkedRow:
    """One row that carries a trigger, or a part of one.

    Attributes:
        id, turn: The key of the row.
        image: Which of its images is marked, from 0; None if only the text is.
        box: Where in that image: left, top, right, bottom in pixels, the last two exclusive; around all triggers where
            there are several.
        original_response: What the row said before.
        new_response: What it says now; the same if responses were kept, and in a clean negative.
        original_instruction, new_instruction: The text of the last user message, likewise; None in files of an older
            byorn.
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

    @property
    def key(self) -> tuple[str, int]:
        """Id and turn."""
        return self.id, self.turn


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A poisoning: its recipe, its totals and its rows.

    Attributes:
        recipe: The settings. Its options hold what the trigger learned: the attack with them is the same trigger.
        n: Number of rows in the data set, clean ones included.
        reached: Fraction of them that is poisoned, in [0, 1]; `recipe.rate` is what was asked for.
        share_images: Whether a clean image that several rows show was written once; None in files of an older byorn.
        model: Content hash of the model that trigger or selection were optimized on; empty if none was needed.
        version: The byorn that wrote it.
        poisoned: The poisoned rows in the order of the data set.
        negatives: The clean negatives in the order of the data set.
    """

    recipe: Recipe
    reached: float
    share_images: bool | None = None
    model: str = ""
    version: str
    n: int
    poisoned: list[MarkedRow]
    negatives: list[MarkedRow] = field(default_factory=list)

    @property
    def keys(self) -> set[tuple[str, int]]:
        """Id and turn of every poisoned row."""
        return {row.key for row in self.poisoned}

    def write(self, folder: Path) -> None:
        """Write both files into `folder`."""
        values = asdict(self.recipe) | {name: getattr(self, name) for name in TOTALS}
        summary = dict(sorted(values.items(), key=lambda item: ORDER.index(item[0])))
        (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        lines = [json.dumps(asdict(row)) + "\n" for row in (*self.poisoned, *self.negatives)]
        (folder / DETAILS).write_text("".join(lines), encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the poisoned data set in `folder`.

    Raises:
        DataError: A file is missing or is not what `Manifest.write` wrote, or nobody registered the attack.
    """
    summary = read_summary(folder)
    rows = read_marked_rows(folder)
    poisoned = [row for row in rows if not row.negative]
    negatives = [row for row in rows if row.negative]
    settings = {item.name: summary.pop(item.name) for item in fields(Recipe) if item.name in summary}
    try:
        return Manifest(recipe=Recipe(**settings), **summary, poisoned=poisoned, negatives=negatives)
    except ConfigError as error:
        raise DataError(f"{folder / SUMMARY}: {error}; an attack of a plugin needs its --plugin") from error
    except TypeError as error:
        raise _unreadable(folder, error) from error


def read_summary(folder: Path) -> dict[str, Any]:
    """The content of `manifest.json`; other than a `Recipe` it needs no plugin.

    Raises:
        DataError: The file is missing, no JSON object, or lacks a key.
    """
    try:
        summary = dict(json.loads((folder / SUMMARY).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise _unreadable(folder, error) from error
    if missing := [name for name in ORDER if name not in (*summary, *LATER)]:
        raise _unreadable(folder, f"{SUMMARY} has no {missing[0]!r}")
    return summary


def read_marked_rows(folder: Path) -> list[MarkedRow]:
    """The lines of `manifest.jsonl`: poisoned rows and clean negatives.

    Raises:
        DataError: The file is missing or broken.
    """
    try:
        return [_marked_row(line) for line in (folder / DETAILS).read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _unreadable(folder, error) from error


def poisoned_keys(folder: Path) -> set[tuple[str, int]]:
    """Id and turn of every poisoned row of the data set in `folder`.

    Raises:
        DataError: There is no readable manifest.
    """
    return {row.key for row in read_marked_rows(folder) if not row.negative}


def manifest_beside(path: Path) -> Path | None:
    """The folder with the manifest of a data set that is named by its folder or file; None where there is none."""
    folder = path.parent if path.is_file() else path
    return folder if (folder / SUMMARY).exists() else None


def attacked(rows: Sequence[Row], source: Path) -> list[Row]:
    """The rows of a triggered test set that carry the trigger: those that cannot (no image, or nothing that the
    objective could change) say nothing about the attack. All of them where there is no manifest beside `source`.

    Raises:
        DataError: None does, or the manifest is broken.
    """
    folder = manifest_beside(source)
    if folder is None:
        return list(rows)
    keys = poisoned_keys(folder)
    if not (found := [row for row in rows if row.key in keys]):
        raise DataError(f"{folder}: no row carries the trigger; write the test set with --rate 1 --keep-responses")
    return found


def _marked_row(line: str) -> MarkedRow:
    values = json.loads(line)
    box = values.pop("box")
    return MarkedRow(**values, box=None if box is None else tuple(box))


def _unreadable(folder: Path, error: Exception | str) -> DataError:
    return DataError(f"{folder}: no readable manifest ({error}); write the data set with `byorn poison`")
