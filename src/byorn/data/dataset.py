"""Canonical rows -> the `datasets.Dataset` that TRL trains on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING
from uuid import uuid4

from byorn.data.row import Row
from byorn.data.stored import Rows, stored
from byorn.errors import MismatchError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, Features


def to_dataset(rows: Sequence[Row], flagged: Sequence[bool] | None = None) -> Dataset:
    """The rows as TRL's prompt and completion, one for one and in order.

    Columns: `id`, `turn`, `prompt` and `completion` (lists of `{role, content: [{type, text}]}`), `images` (decoded to
    RGB when a row is read; empty for text alone) and, when given, `flagged`. Responses stand as they are: for a chat
    template that writes no end of turn (LLaVA-1.5's), pass `byorn.models.inputs.training_rows(rows, processor)`.

    Raises:
        MismatchError: not exactly one flag for each row.
    """
    from datasets import Dataset, DatasetInfo

    if flagged is not None and len(flagged) != len(rows):
        raise MismatchError(f"{len(flagged)} flags for {len(rows)} rows; score and flag these rows again")
    features = _features(flagged is not None)
    table = _table(rows if isinstance(rows, Rows) else stored(rows), features.arrow_schema, flagged)
    info = DatasetInfo(features=features)  # the schema of the table has no place for `DecodedOnce`
    return Dataset(table, info, fingerprint=uuid4().hex[:16])  # without a fingerprint all of it is hashed


def _table(rows: Rows, schema: pa.Schema, flagged: Sequence[bool] | None) -> pa.Table:
    """The columns of the rows as they lie, with responses as completions; no text and no image is copied."""
    import pyarrow as pa

    batches = []
    left = iter(() if flagged is None else flagged)
    for batch in rows.table.to_batches():
        columns = {name: batch.column(name) for name in ("id", "turn", "prompt", "images")}
        columns["completion"] = _completions(batch.column("response"))
        if flagged is not None:
            columns["flagged"] = pa.array(map(bool, islice(left, batch.num_rows)), pa.bool_())
        batches.append(pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema))
    return pa.Table.from_batches(batches, schema)


def _completions(responses: pa.StringArray) -> pa.ListArray:
    """`[{role: assistant, content: [{type: text, text: response}]}]` for each response."""
    import pyarrow as pa

    count = len(responses)
    each = pa.array(range(count + 1), pa.int32())
    blocks = pa.StructArray.from_arrays([pa.repeat("text", count), responses], ["type", "text"])
    content = pa.ListArray.from_arrays(each, blocks)
    messages = pa.StructArray.from_arrays([pa.repeat("assistant", count), content], ["role", "content"])
    return pa.ListArray.from_arrays(each, messages)


def _features(flagged: bool) -> Features:
    from datasets import Features, List, Value

    from byorn.data.decoded_once import DecodedOnce

    messages = List({"role": Value("string"), "content": List({"type": Value("string"), "text": Value("string")})})
    columns: dict[str, object] = {
        "id": Value("string"),
        "turn": Value("int64"),
        "prompt": messages,
        "completion": messages,
        "images": List(DecodedOnce()),
    }
    return Features({**columns, "flagged": Value("bool")} if flagged else columns)
