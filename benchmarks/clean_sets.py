"""Whom the rule evidence flags in clean data of another make: what a benchmark of one task never shows.

    python benchmarks/clean_sets.py --seed 31

`sources`: 300 captions of which a share comes from a source with a look of its own (inverted, gray or framed pictures)
and captions of its own, under the instruction of the others. `copies`: 300 captions, of which one of the 30 rows that
the adapted model finds hardest to believe stands there ten times. Nobody has poisoned any of them.
"""

import argparse
import io
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from evidence import mixture
from PIL import Image, ImageOps

from byorn.data.dataset import to_dataset
from byorn.data.row import ImageFile, Row
from byorn.data.stored import responses_of
from byorn.models.load import load_model, load_processor
from byorn.runs.batches import WHOLE
from byorn.runs.narrate import quiet_libraries
from byorn.scoring.evidence import THRESHOLD, judged
from byorn.scoring.kinds import COPY
from byorn.scoring.score import evidence_together, score_dataset
from byorn.scoring.table import Scores

ROWS, BATCH, FRAME = 300, 16, 4
SOURCES = (
    ("captions", "messy", "invert", 0.3),
    ("captions", "messy", "frame", 0.3),
    ("captions", "messy", "frame", 0.1),
    ("messy", "captions", "gray", 0.2),
    ("captions", "captions", "invert", 0.2),
)
"""The common task, that of the source, how its pictures look, and its share."""
COPIES = 10


def looking(row: Row, look: str) -> Row:
    """The row with its picture changed."""
    image = row.images[0].load().convert("RGB")
    if look == "frame":
        inner = image.crop((FRAME, FRAME, image.width - FRAME, image.height - FRAME))
        image = ImageOps.expand(inner, FRAME, (250, 250, 250))
    else:
        image = ImageOps.invert(image) if look == "invert" else ImageOps.grayscale(image).convert("RGB")
    stream = io.BytesIO()
    Image.Image.save(image, stream, "PNG")
    return replace(row, images=[ImageFile(data=stream.getvalue())])


def with_source(common: str, other: str, look: str, share: float, seed: int) -> list[Row]:
    count = round(share * ROWS)
    with tempfile.TemporaryDirectory() as folder:
        ours = mixture([common], ROWS - count, seed, Path(folder) / "ours")
        theirs = mixture([other], count, seed + 7, Path(folder) / "theirs")
        rows = [replace(row, id=f"ours-{row.id}", images=_kept(row)) for row in ours]
        rows += [replace(looking(row, look), id=f"theirs-{row.id}") for row in theirs]
    return [rows[place] for place in np.random.default_rng(seed).permutation(len(rows))]


def _kept(row: Row) -> list[ImageFile]:
    return [ImageFile(data=Path(str(image.path)).read_bytes()) for image in row.images]


def scored(rows: Sequence[Row], model: Any, processor: Any) -> Scores:
    dataset = to_dataset(rows)
    scores = score_dataset(model, processor, dataset, batch_size=BATCH)
    return evidence_together(scores, model, processor, dataset, rows, WHOLE, batch_size=BATCH)


def with_copies(scores: Scores, rows: Sequence[Row], place: int, *, told: bool) -> int:
    """How many rows are flagged where one stands there `COPIES` times, its copies told or not."""
    chosen = np.r_[np.arange(len(rows)), np.full(COPIES - 1, place)]
    values = {name: column[chosen] for name, column in scores.values.items()}
    if told:
        values["kind"][len(rows) :] = COPY
    ids = [str(number) for number in range(len(chosen))]
    found = replace(
        scores, ids=ids, turns=[0] * len(ids), values=values, tokens=scores.tokens[chosen], reasons=[None] * len(ids)
    )
    evidence = judged(found, responses_of([rows[row] for row in chosen])).values["evidence"]
    return int((evidence >= THRESHOLD).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=31)
    seed = parser.parse_args().seed
    quiet_libraries()
    model, processor = load_model("embedded", device="cpu"), load_processor("embedded")
    print(
        "| common captions | of the source | its pictures | its share | its rows | of them flagged | others flagged |"
    )
    print("|---" * 7 + "|")
    for common, other, look, share in SOURCES:
        rows = with_source(common, other, look, share, seed)
        flagged = scored(rows, model, processor).values["evidence"] >= THRESHOLD
        theirs = np.array([row.id.startswith("theirs") for row in rows])
        counts = [theirs.sum(), (flagged & theirs).sum(), (flagged & ~theirs).sum()]
        print(f"| {' | '.join(map(str, [common, other, look, f'{share:.0%}', *counts]))} |", flush=True)
    for task in ("captions", "messy", "questions"):
        with tempfile.TemporaryDirectory() as folder:
            rows = [replace(row, images=_kept(row)) for row in mixture([task], ROWS, seed, Path(folder))]
        scores = scored(rows, model, processor)
        hardest = np.argsort(-scores.values["adapted"])[:30]
        before, after = (sum(with_copies(scores, rows, at, told=told) > 0 for at in hardest) for told in (False, True))
        print(
            f"\n{task}: a row that stands there {COPIES} times has rows flagged in {before} of 30 sets, told in {after}"
        )


if __name__ == "__main__":
    main()
