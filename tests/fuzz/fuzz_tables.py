"""Strategies for Arrow tables: sound columns of messages and images, and columns of every type that a file can hold."""

import datetime
import decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from hostile import TEXTS, encoded
from hypothesis import strategies as st

WORDS = ["What is it?", "A red box.", "<image>", None, TEXTS["turns"], TEXTS["combining"], "a.png"]
MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
PART = pa.struct([("type", pa.string()), ("text", pa.string())])
PARTS = pa.struct([("role", pa.string()), ("content", pa.list_(PART))])
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
CHAT = [{"role": "user", "content": "Look"}, {"role": "assistant", "content": "A box."}]
IN_PARTS = [{"role": turn["role"], "content": [{"type": "text", "text": turn["content"]}]} for turn in CHAT]
EXAMPLES: list[tuple[pa.DataType, list[Any]]] = [
    (pa.string(), WORDS),
    (pa.large_string(), WORDS),
    (pa.string_view(), WORDS),
    (pa.dictionary(pa.int8(), pa.string()), WORDS),
    (pa.dictionary(pa.int32(), pa.large_string()), WORDS),
    (pa.binary(), [b"\xff", b"", None]),
    (pa.binary_view(), [b"\xff" * 20, b"", None]),
    (pa.binary(3), [b"abc", None]),
    (pa.list_(MESSAGE), [CHAT, [], None]),
    (pa.large_list(MESSAGE), [CHAT]),
    (pa.list_view(pa.string()), [["a"], None]),
    (pa.list_(PARTS), [IN_PARTS, CHAT[:0]]),
    (pa.list_(pa.string(), 2), [["a", "b"], None]),
    (IMAGE, [{"bytes": encoded("PNG"), "path": None}, {"bytes": None, "path": "one pixel.png"}, None]),
    (pa.list_(IMAGE), [[{"bytes": encoded("PNG"), "path": "x"}], []]),
    (pa.map_(pa.string(), pa.int64()), [[("a", 1), ("a", 2)], None]),
    (pa.int64(), [0, -(2**63), None]),
    (pa.uint64(), [2**64 - 1]),
    (pa.float16(), [1.5, float("nan")]),
    (pa.bool_(), [True, None]),
    (pa.null(), [None]),
    (pa.decimal128(38, 3), [decimal.Decimal("1.5"), None]),
    (pa.decimal256(76, 70), [decimal.Decimal("1.5")]),
    (pa.date32(), [datetime.date(2024, 2, 29), 2**31 - 1, -(2**31)]),
    (pa.date64(), [0, 2**62]),
    (pa.time64("ns"), [1, 86_399_999_999_999, -5]),
    (pa.timestamp("s"), [0, 2**62]),
    (pa.timestamp("ns", "Europe/Vienna"), [0, 2**62]),
    (pa.timestamp("us", "+99:99"), [1]),
    (pa.timestamp("us", "Nowhere/At all"), [1]),
    (pa.duration("s"), [1, 2**62]),
    (pa.duration("ns"), [1, 2**62]),
    (pa.month_day_nano_interval(), [(1, 2, 3), None]),
    (pa.run_end_encoded(pa.int32(), pa.string()), ["a", "a", None]),
]
COLUMNS = [
    "prompt",
    "completion",
    "messages",
    "conversations",
    "image",
    "images",
    "id",
    "turn",
    "question",
    "answer",
    "system",
]
FITTING = {
    "prompt": 0,
    "completion": 0,
    "messages": 8,
    "conversations": 8,
    "image": 13,
    "images": 14,
    "question": 0,
    "answer": 0,
}
ROWS = 6


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """A table whose columns hold what they should, or anything."""
    columns = draw(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=4, unique=True))
    columns += [name for name in ("prompt", "completion") if name not in columns and draw(st.booleans())]
    return pa.table({name: draw(_column(name)) for name in columns})


@st.composite
def _column(draw: st.DrawFn, name: str) -> pa.Array:
    fitting = st.just(FITTING.get(name, 0))
    kind, examples = EXAMPLES[draw(st.one_of(fitting, st.integers(0, len(EXAMPLES) - 1)))]
    values = draw(st.lists(st.sampled_from(examples), min_size=ROWS, max_size=ROWS))
    return column_of(kind, values)


def column_of(kind: pa.DataType, values: list[Any]) -> pa.Array:
    """The values as an array of a type."""
    if pa.types.is_run_end_encoded(kind):
        return pc.run_end_encode(pa.array(values, pa.string()))
    return pa.array(values, kind)
