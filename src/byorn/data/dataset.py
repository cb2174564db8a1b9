"""Canonical rows -> the `datasets.Dataset` that TRL trains on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from byorn.data.row import Row
from byorn.errors import MismatchError

if TYPE_CHECKING:
    from datasets import Dataset, Features

# Arrow holds at most 2 GiB of bytes in one chunk, which 128 photos never reach.
_CHUNK = 128


def to_dataset(rows: Sequence[Row], flagged: Sequence[bool] | None = None) -> Dataset:
    """The rows as TRL's prompt and completion, one for one and in order.

    Columns: `id`, `turn`, `prompt` and `completion` (lists of `{role, content: [{type, text}]}`), `images` (decoded to
    RGB when a row is read; empty for text alone) and, when given, `flagged`. Responses stand as they are: for a chat
    template that writes no end of turn (LLaVA-1.5's), pass `byorn.models.inputs.training_rows(rows, processor)`.

    Raises:
        MismatchError: not exactly one flag for each row.
    """
    import pyarrow as pa
    from datasets import Dataset

    if flagged is not None and len(flagged) != len(rows):
        raise MismatchError(f"{len(flagged)} flags for {len(rows)} rows; score and flag these rows again")
    features = _features(flagged is not None)
    schema = features.arrow_schema
    records = [_record(row) for row in rows]
    if flagged is not None:
        records = [{**record, "flagged": bool(flag)} for record, flag in zip(records, flagged, strict=True)]
    starts = range(0, len(records), _CHUNK)
    chunks = [pa.Table.from_pylist(records[start : start + _CHUNK], schema=schema) for start in starts]
    return Dataset(pa.concat_tables(chunks) if chunks else schema.empty_table())


def _features(flagged: bool) -> Features:
    from datasets import Features, Image, List, Value

    messages = List({"role": Value("string"), "content": List({"type": Value("string"), "text": Value("string")})})
    columns: dict[str, object] = {
        "id": Value("string"),
        "turn": Value("int64"),
        "prompt": messages,
        "completion": messages,
        "images": List(Image(mode="RGB")),
    }
    return Features({**columns, "flagged": Value("bool")} if flagged else columns)


def _record(row: Row) -> dict[str, object]:
    return {
        "id": row.id,
        "turn": row.turn,
        "prompt": row.prompt,
        "completion": [{"role": "assistant", "content": [{"type": "text", "text": row.response}]}],
        "images": [{"bytes": image.data, "path": image.path} for image in row.images],
    }
