"""A scan without a model: rows, scores and a flag file in a folder."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from byorn.data.row import ImageFile, Origin, Row
from byorn.flagging.table import Flags, read_flags, write_flags
from byorn.review.decisions import Decisions
from byorn.review.desk import Desk
from byorn.testing import tiny_rows

SCORES = np.array([1.0, 5.0, 2.0, 4.0, 3.0, np.nan])
FLAGGED = np.array([False, True, False, True, False, True])


def scanned(folder: Path) -> list[Row]:
    """Six rows, of which the second, the fourth and the last are flagged; their `flags.parquet` lies in `folder`."""
    rows = [replace(row, origin=Origin("rows.jsonl", number)) for number, row in enumerate(tiny_rows(6))]
    rows = [replace(row, meta={"source": "forum" if number % 2 else "lab"}) for number, row in enumerate(rows)]
    reasons = ["above the threshold" if flag else None for flag in FLAGGED]
    flags = Flags(
        [row.id for row in rows], [0] * 6, FLAGGED, FLAGGED.astype(float), "percentile(p=0.5)", 3.5, reasons,
        origins=[row.origin for row in rows],
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    write_flags(folder / "flags.parquet", flags)
    return rows


def words(folder: Path) -> list[str]:
    """The review column on the disk, through the reader that checks all checksums."""
    return list(read_flags(folder / "flags.parquet").review or [])


def desk(folder: Path, *changed: Row, who: str = "anna") -> Desk:
    """A desk for these rows; `changed` rows stand in for the first ones."""
    rows = scanned(folder)
    rows[: len(changed)] = changed
    return Desk(rows, SCORES, Decisions(folder, who), groups={"visit our shop": [1, 5]})


def hostile_row() -> Row:
    """A row whose every text wants to be something else."""
    row = tiny_rows(1)[0]
    text = "<script>alert(1)</script>\u202etxt.exe\u200b"
    image = ImageFile(data=row.images[0].data, name='"><img src=x>.png')
    return replace(row, response=text, images=[image], meta={"source": "<b>forum</b>"})
