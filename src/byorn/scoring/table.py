"""`scores.parquet`: one line a row, and the facts without which a score means nothing (which data, which model, which
template).

Columns: `id`, `turn`, `source`, `record` and `image` (the file, the number of the record in it, and the first image, as
the data set names them; null for rows made in memory), `nll` (the paper's score, nats a token, higher = less
plausible), the other statistics of `statistics.py`, those that take further passes (`contrast`, or `kind`, `adapted`,
`adapted_contrast`, `shortcut`, `trigger`, `insertion` and `evidence`) if they were asked for, `tokens` (K, end of turn
included) and `reason` (why a row could not be scored; its statistics are NaN then). The files of the adapted model's
passes have `words` too, see `byorn.scoring.words`. No torch here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from byorn.data.row import Origin, Row
from byorn.errors import DataError
from byorn.runs.sealed import read_table, write_table
from byorn.scoring.origins import origin_columns, read_origins, text_column
from byorn.scoring.statistics import ADDED, STATISTICS
from byorn.text import first_line

SCORES = "scores.parquet"


@dataclass(frozen=True)
class Scores:
    """The scores of a data set, in the order of its rows.

    Attributes:
        ids, turns: Keys of the rows.
        values: Statistic name -> float64 array [n]; NaN where a row could not be scored.
        tokens: int array [n], response tokens with the end of turn.
        reasons: Why a row could not be scored, else None.
        origins: Where the rows come from; empty where that is unknown.
        images: Names of their first images, empty text without one; empty where they are unknown.
        words: What each word of the responses costs, float arrays; empty where that was not told.
        metadata: `data`, `model`, `model_digest`, `processor_digest`, `byorn_version`, ...
    """

    ids: list[str]
    turns: list[int]
    values: dict[str, np.ndarray]
    tokens: np.ndarray
    reasons: list[str | None]
    metadata: dict[str, str] = field(default_factory=dict)
    origins: list[Origin] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    words: list[np.ndarray] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def nll(self) -> np.ndarray:
        """The paper's score."""
        return self.values["nll"]

    @property
    def keys(self) -> list[tuple[str, int]]:
        return list(zip(self.ids, self.turns, strict=True))


def from_records(records: list[dict[str, Any]], metadata: dict[str, str]) -> Scores:
    """Scores from one dict a row (`id`, `turn`, `tokens`, `reason` and the statistics)."""
    return Scores(
        ids=[record["id"] for record in records],
        turns=[record["turn"] for record in records],
        values={name: np.array([record[name] for record in records], dtype=float) for name in STATISTICS},
        tokens=np.array([record["tokens"] for record in records], dtype=int),
        reasons=[record["reason"] for record in records],
        metadata=metadata,
        words=[np.array(record["words"], dtype=np.float32) for record in records if "words" in record],
    )


def name_rows(scores: Scores, rows: Sequence[Row]) -> Scores:
    """The scores with origin and image of their rows, which are given in the same order."""
    images: dict[str, str] = {}  # many rows may show one image, whose name is kept once
    origins, names = [], []
    for row in rows:
        name = (row.images[0].name or "") if row.images else ""
        names.append(images.setdefault(name, name))
        origins.append(row.origin)
    return replace(scores, origins=origins, images=names)


def write_scores(path: Path, scores: Scores) -> None:
    """Write `scores.parquet`; the file appears whole or not at all."""
    columns: dict[str, Any] = {"id": scores.ids, "turn": pa.array(scores.turns, pa.int32())}
    columns |= origin_columns(scores.origins, len(scores))
    columns["image"] = text_column(scores.images or [""] * len(scores))
    columns |= scores.values
    columns |= {"tokens": pa.array(scores.tokens, pa.int32()), "reason": pa.array(scores.reasons, pa.string())}
    if scores.words:
        columns["words"] = pa.array(scores.words, pa.list_(pa.float32()))
    write_table(path, pa.table(columns), {key: str(value) for key, value in scores.metadata.items()})


def read_scores(path: Path) -> Scores:
    """Read `scores.parquet`.

    Raises:
        DataError: The file is missing or damaged, or is no score file.
    """
    try:
        table, metadata = read_table(path)
        records = table.to_pydict()
        names = ["nll", *(name for name in (*STATISTICS, *ADDED) if name != "nll" and name in records)]
        values = {name: np.array(records[name], dtype=float) for name in names}
        tokens = np.array(records["tokens"], dtype=int)
        images = [str(name or "") for name in records.get("image", [])]
        words = [np.array(costs or [], dtype=np.float32) for costs in records.get("words", [])]
        return Scores(
            records["id"], records["turn"], values, tokens, records["reason"], metadata, read_origins(records), images,
            words,
        )  # fmt: skip
    except FileNotFoundError:
        raise DataError(f"scores: {path} is not there; run `byorn scan`") from None
    except (OSError, ValueError, TypeError, KeyError, pa.ArrowException) as error:
        raise DataError(
            f"scores: {path} is not a readable score file ({first_line(error)}); delete it and run the same "
            "command again, which scores anew"
        ) from error
