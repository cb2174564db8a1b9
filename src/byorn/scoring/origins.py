"""Where a row comes from, as the columns `source` and `record` of `scores.parquet` and `flags.parquet`.

Both are null for rows that were made in memory; files of earlier versions lack them.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from byorn.data.row import Origin

UNKNOWN = Origin()


def origin_columns(origins: Sequence[Origin], count: int) -> dict[str, pa.Array]:
    """The columns of `count` rows; no origins are unknown origins."""
    known = origins or [UNKNOWN] * count
    return {
        "source": text_column([origin.source for origin in known]),
        "record": pa.array([origin.record if origin.record >= 0 else None for origin in known], pa.int64()),
    }


def read_origins(columns: Mapping[str, list[object]]) -> list[Origin]:
    """The origins in the columns of a table, empty where it has none.

    Raises:
        ValueError: What stands there is no record number.
    """
    sources = columns.get("source")
    records = columns.get("record")
    if sources is None or records is None:
        return []
    return [Origin(str(source or ""), _number(record)) for source, record in zip(sources, records, strict=True)]


def _number(record: object) -> int:
    """A record number; table tools make numbers with a fraction, and NaN, of a column with nulls."""
    if record is None or record != record:
        return UNKNOWN.record
    return int(float(str(record)))


def text_column(texts: Sequence[str]) -> pa.Array:
    """Strings, null for empty ones; file names need not be Unicode, so what is none is escaped."""
    plain = [text.encode("utf-8", "backslashreplace").decode() or None for text in texts]
    return pa.array(plain, pa.string())
