"""Poisoning a data set: rows in, a folder with the poisoned data set and its manifest out.

    out/rows.jsonl       all rows, in the order they came in; nothing in them tells who is poisoned
    out/images/          all images, each encoded again in the same way (`encode.py`)
    out/manifest.json    the settings and totals
    out/manifest.jsonl   one line for each poisoned row, and for each clean negative

What can still tell: a triggered image belongs to one row alone, so where many rows share their images, a count of the
rows a file gives it away; `share_images=False` closes that, at the cost of disk. So do a `meta` column that repeats the
response, a later turn of the same conversation (read such data one turn each), and an id that is a hash of the row,
for anyone who hashes again. A trigger over the whole image moves the length of the file. The clean counterpart of a
poisoned data set is the same call with rate 0, not the source.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from byorn.attacks.brief import Brief
from byorn.attacks.images import FOLDER, ImageKey, plan_images, reset_time, write_images
from byorn.attacks.imaging.box import Box
from byorn.attacks.manifest import DETAILS, SUMMARY, Manifest, MarkedRow
from byorn.attacks.marking import Mark, choose_images, mark_rows
from byorn.attacks.objectives import find_objective
from byorn.attacks.optimized.surrogate import Surrogate
from byorn.attacks.recipe import Recipe
from byorn.attacks.selection import ChosenRows, choose_rows
from byorn.attacks.trigger import Trigger
from byorn.data.files import ROWS_FILE, write_rows
from byorn.data.row import ImageFile, Row
from byorn.errors import ConfigError, DataError
from byorn.runs.fresh_folder import fresh_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

CONTENTS = (FOLDER, DETAILS, SUMMARY, ROWS_FILE)
"""The rows come last, so that whoever finds them finds all of it."""


def poison_dataset(
    rows: Sequence[Row],
    recipe: Recipe,
    *,
    out: Path,
    model: "PreTrainedModel | None" = None,
    processor: "ProcessorMixin | None" = None,
    share_images: bool = True,
    overwrite: bool = False,
    progress: bool = False,
) -> Manifest:
    """Poison some of the rows and write the whole data set to `out`; the same arguments give the same bytes.

    A test set for the same attack takes `options` from the manifest of the training set: they hold what was learned.

    Args:
        rows: The clean data set. Those whose response shows the target already, in any case, stay clean.
        recipe: The attack.
        out: Folder to write, which must be new or empty.
        model: The pretrained model, in eval mode, for attacks that are optimized on it; it is not changed.
        processor: Its processor.
        share_images: Writes a clean image that several rows show once; else once for each row.
        overwrite: Replaces the data set that an earlier call left in `out`, and touches nothing else there.
        progress: Shows a progress bar.

    Raises:
        ConfigError: The rate does not fit the rows, `out` is in use, or the attack needs a model.
        DataError: There are no rows, ids are not unique, or an image or a column cannot be written.
        ModelError: The model's images cannot be optimized.
    """
    surrogate = _surrogate(recipe, model, processor)
    with fresh_folder(out, CONTENTS, overwrite) as folder:
        chosen = choose_rows(rows, recipe, surrogate)
        trigger = _prepared(rows, chosen, recipe, surrogate)
        marks = mark_rows(rows, chosen, trigger, recipe)
        boxes = _write(rows, marks, recipe, folder, share_images, progress)
        written = replace(recipe, options=trigger.options())
        manifest = _manifest(rows, marks, boxes, written, share_images, surrogate)
        manifest.write(folder)
        for name in (ROWS_FILE, DETAILS, SUMMARY):
            reset_time(folder / name)
    return manifest


def _surrogate(recipe: Recipe, model: "PreTrainedModel | None", processor: "ProcessorMixin | None") -> Surrogate | None:
    """The model, if the attack wants it."""
    if not recipe.needs_model:
        return None
    if model is None or processor is None:
        what = recipe.attack if recipe.trigger.needs_model else "selection 'likely'"
        raise ConfigError(f"{what} is optimized on the pretrained model; pass --model NAME (model=, processor=)")
    return Surrogate(model, processor)


def _prepared(rows: Sequence[Row], chosen: ChosenRows, recipe: Recipe, surrogate: Surrogate | None) -> Trigger:
    """The trigger ready to plant; with nothing to poison there is nothing to prepare."""
    trigger = recipe.trigger
    if not chosen.poisoned:
        return trigger
    images = choose_images(rows, chosen.poisoned, trigger, recipe)
    brief = Brief(
        rows=rows,
        chosen=images,
        goal=recipe,
        clean_label=find_objective(recipe.objective).clean_label,
        keep_responses=recipe.keep_responses,
        wanted_response=recipe.wanted_response,
        stream=recipe.stream,
        model=surrogate,
    )
    return trigger.prepare(brief)


def _write(
    rows: Sequence[Row], marks: Mapping[int, Mark], recipe: Recipe, folder: Path, share_images: bool, progress: bool
) -> dict[int, Box | None]:
    """Write images and rows; returns the boxes of the marked images by the position of their row."""
    marked = {ImageKey(position, mark.image) for position, mark in marks.items() if mark.image is not None}
    plan = plan_images(rows, marked, recipe, share_images)
    written = write_images(rows, plan, marks, recipe, folder, progress)
    after = [marks[position].row if position in marks else row for position, row in enumerate(rows)]
    files = [
        [written.names[plan.file_of[ImageKey(position, index)]] for index in range(len(row.images))]
        for position, row in enumerate(rows)
    ]
    _write_rows(after, files, folder)
    return written.boxes


def _write_rows(rows: Sequence[Row], files: Sequence[list[str]], folder: Path) -> None:
    images = ([ImageFile(path=str(folder / name)) for name in names] for names in files)
    shown = (replace(row, images=own) for row, own in zip(rows, images, strict=True))
    try:
        write_rows(shown, folder)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"a column of the data set cannot be written as JSON ({error}); remove it") from error


def _manifest(
    rows: Sequence[Row],
    marks: Mapping[int, Mark],
    boxes: Mapping[int, Box | None],
    recipe: Recipe,
    share_images: bool,
    surrogate: Surrogate | None,
) -> Manifest:
    entries = [_entry(rows[position], marks[position], boxes.get(position)) for position in sorted(marks)]
    poisoned = [entry for entry in entries if not entry.negative]
    return Manifest(
        recipe=recipe,
        share_images=share_images,
        reached=len(poisoned) / len(rows),
        model=_digest(surrogate) if surrogate else "",
        version=version("byorn"),
        n=len(rows),
        poisoned=poisoned,
        negatives=[entry for entry in entries if entry.negative],
    )


def _digest(surrogate: Surrogate) -> str:
    from byorn.models.digest import model_digest

    return model_digest(surrogate.model)


def _entry(before: Row, mark: Mark, box: Box | None) -> MarkedRow:
    return MarkedRow(
        id=before.id,
        turn=before.turn,
        image=mark.image,
        box=box,
        original_response=before.response,
        new_response=mark.row.response,
        negative=mark.negative,
        original_instruction=before.instruction,
        new_instruction=mark.row.instruction,
    )
