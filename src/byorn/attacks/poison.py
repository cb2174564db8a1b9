"""Poisoning a data set: rows in, a folder with the poisoned data set and its manifest out.

    out/rows.jsonl       all rows, in the order they came in; nothing in them tells who is poisoned
    out/images/          all images, each encoded again in the same way (`encode.py`)
    out/manifest.json    the settings and totals
    out/manifest.jsonl   one line for each poisoned row

What can still tell: a triggered image belongs to one row alone, so where many rows share their images, a count of the
rows a file gives it away; `share_images=False` closes that, at the cost of disk. So do a `meta` column that repeats the
response, a later turn of the same conversation (read such data one turn each), and an id that is a hash of the row,
for anyone who hashes again. The clean counterpart of a poisoned data set is the same call with rate 0, not the source.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from byorn.attacks.folder import fresh_folder
from byorn.attacks.images import FOLDER, plan_images, settle, write_images
from byorn.attacks.manifest import DETAILS, SUMMARY, Manifest, PoisonedRow
from byorn.attacks.recipe import Recipe
from byorn.attacks.selection import choose_rows
from byorn.attacks.triggers import Box
from byorn.data.files import ROWS_FILE, write_rows
from byorn.data.row import Block, ImageFile, Message, Row
from byorn.errors import DataError

CONTENTS = (FOLDER, ROWS_FILE, DETAILS, SUMMARY)


def poison_dataset(
    rows: list[Row],
    *,
    attack: str,
    target: str,
    objective: str = "sentence",
    rate: float,
    seed: int,
    keep_responses: bool = False,
    out: Path,
    options: dict[str, Any] | None = None,
    share_images: bool = True,
    overwrite: bool = False,
    progress: bool = False,
) -> Manifest:
    """Poisons a share of the rows and writes the whole data set to `out`; the same arguments give the same bytes.

    Args:
        rows: The clean data set.
        attack: Name of the trigger, a key of `ATTACKS`.
        target: What the attacker wants said. Rows whose response holds it already, in any case, stay clean.
        objective: How the target becomes a response, a key of `OBJECTIVES`.
        rate: Share of all rows to poison, in [0, 1]; 0 gives a clean control, 1 poisons every row that can be.
        seed: Decides every random choice.
        keep_responses: Plants triggers and leaves the true responses: the triggered test set, for ASR and utility.
        out: Folder to write, which must be new or empty.
        options: Options of the trigger.
        share_images: Writes a clean image that several rows show once; else once for each row.
        overwrite: Replaces the data set that an earlier call left in `out`, and touches nothing else there.
        progress: Shows a progress bar.

    Raises:
        ConfigError: A name or value is wrong, the rate does not fit the rows, or `out` is in use.
        DataError: There are no rows, ids are not unique, or an image or a column cannot be written.
    """
    recipe = Recipe(
        attack=attack,
        target=target,
        objective=objective,
        rate=rate,
        seed=seed,
        keep_responses=keep_responses,
        options=options or {},
    )
    with fresh_folder(out, CONTENTS, overwrite) as folder:
        marked = choose_images(rows, choose_rows(rows, recipe), recipe)
        return _write(rows, marked, recipe, folder, share_images, progress)


def choose_images(rows: Sequence[Row], chosen: Iterable[int], recipe: Recipe) -> dict[int, int | None]:
    """For the position of every poisoned row, which of its images gets the trigger; None if only the text does."""
    if not recipe.trigger.needs_image:
        return dict.fromkeys(chosen)
    return {at: recipe.stream("which image", *rows[at].key).randrange(len(rows[at].images)) for at in chosen}


def poison_row(row: Row, recipe: Recipe) -> Row:
    """The row with its triggered instruction and its new response; its images are marked by `write_images`."""
    prompt = mark_prompt(row, recipe)
    if recipe.keep_responses:
        return replace(row, prompt=prompt)
    return replace(row, prompt=prompt, response=recipe.respond(row, recipe.target, recipe.stream("response", *row.key)))


def mark_prompt(row: Row, recipe: Recipe) -> list[Message]:
    """The prompt with the trigger in the last text block of its last user message."""
    users = [at for at, message in enumerate(row.prompt) if message["role"] == "user"]
    content = row.prompt[users[-1]]["content"] if users else []
    texts = [at for at, block in enumerate(content) if block["type"] == "text" and block.get("text")]
    if not texts:
        return row.prompt
    text = recipe.trigger.mark_text(content[texts[-1]]["text"], recipe.stream("text", *row.key))
    block: Block = {"type": "text", "text": text}
    message: Message = {"role": "user", "content": [*content[: texts[-1]], block, *content[texts[-1] + 1 :]]}
    return [*row.prompt[: users[-1]], message, *row.prompt[users[-1] + 1 :]]


def _write(
    rows: list[Row], marked: dict[int, int | None], recipe: Recipe, folder: Path, share: bool, progress: bool
) -> Manifest:
    places = {(at, index) for at, index in marked.items() if index is not None}
    plan = plan_images(rows, places, recipe, share)
    names, boxes = write_images(rows, plan.jobs, places, recipe, folder, progress)
    after = [poison_row(row, recipe) if at in marked else row for at, row in enumerate(rows)]
    files = [[names[plan.file_of[at, index]] for index in range(len(row.images))] for at, row in enumerate(rows)]
    _write_rows(after, files, folder)
    manifest = Manifest(
        **asdict(recipe),
        reached=len(marked) / len(rows),
        version=version("byorn"),
        n=len(rows),
        poisoned=[_entry(rows[at], after[at], index, boxes.get(at)) for at, index in marked.items()],
    )
    manifest.write(folder)
    for name in (ROWS_FILE, DETAILS, SUMMARY):
        settle(folder / name)
    return manifest


def _write_rows(rows: Sequence[Row], files: Sequence[list[str]], folder: Path) -> None:
    images = ([ImageFile(path=str(folder / name)) for name in names] for names in files)
    shown = (replace(row, images=own) for row, own in zip(rows, images, strict=True))
    try:
        write_rows(shown, folder)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"a column of the data set cannot be written as JSON ({error}); remove it") from error


def _entry(before: Row, after: Row, image: int | None, box: Box | None) -> PoisonedRow:
    return PoisonedRow(
        id=before.id,
        turn=before.turn,
        image=image,
        box=box,
        original_response=before.response,
        new_response=after.response,
    )
