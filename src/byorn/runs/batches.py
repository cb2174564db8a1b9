"""Which rows go through the model together, and in which process.

Rows are sorted by length and cut into batches, the same ones whatever the number of processes; process r of n takes the
batches r, r + n, r + 2n, ... Neighbors are of similar length, so all processes get the same work to within a batch.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

IMAGE_LENGTH = 2000  # characters that an image counts for when rows are sorted by length; only the order depends on it


@dataclass(frozen=True, slots=True)
class Shard:
    """The part of the work that one process does: number `index`, from 0, of `num_shards`."""

    index: int
    num_shards: int


WHOLE = Shard(0, 1)


def shard_batches(order: Sequence[int], size: int, shard: Shard, finished: Container[int] = ()) -> list[list[int]]:
    """The batches of a shard, less the rows that are finished.

    What is finished does not change who does what: processes that look at different times still divide the rest alike.
    """
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    left = ([row for row in batch if row not in finished] for batch in batches[shard.index :: shard.num_shards])
    return [batch for batch in left if batch]


def length_order(dataset: Any) -> list[int]:
    """Row numbers, the longest first: padding stays small, and a batch that does not fit fails at the start."""
    columns = dataset.select_columns(["prompt", "completion"])
    lengths = [_length(prompt) + _length(completion) for prompt, completion in _texts(columns)]
    return sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))


def _texts(columns: Any) -> Iterator[tuple[Any, Any]]:
    """Prompt and completion of each row, many rows at a time where the data set can."""
    if not hasattr(columns, "with_format"):
        yield from ((row["prompt"], row["completion"]) for row in columns)
        return
    for table in columns.with_format("arrow").iter(batch_size=1024):
        yield from zip(table["prompt"].to_pylist(), table["completion"].to_pylist(), strict=True)


def _length(messages: Any) -> int:
    if isinstance(messages, str):
        return len(messages)
    total = 0
    for message in messages:
        content = message.get("content") or ""
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        total += sum(IMAGE_LENGTH if block["type"] == "image" else len(block.get("text") or "") for block in blocks)
    return total
