"""Collation that puts the responses of replaced rows out of reach, before anything can read them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

REPLACED = "byorn_replaced"  # the training set's column that marks rows whose response is replaced
COLUMNS = ("prompt", "completion", "images")

Record = dict[str, Any]
"""A row of a data set in TRL's form: column -> value."""

Batch = dict[str, Any]
"""Model inputs and `labels`, as tensors; or `{"rows": [...]}`, the rows of a batch whose responses are yet to be
drawn.
"""


@dataclass
class ReplacingCollator:
    """Clean rows become a batch as TRL makes it; a batch with replaced rows stays `{"rows": [...]}`, their responses
    removed.

    What decides is a column that only the training set has, so that evaluation sets keep their own responses. A class
    of its own, since data loader workers that are spawned get their collator pickled.

    Attributes:
        clean: The collator of SFTTrainer.
    """

    clean: Callable[[Sequence[Record]], Batch]

    def __call__(self, rows: Sequence[Record]) -> Batch:
        if not any(row.get(REPLACED) for row in rows):
            return self.encode(rows)
        return {"rows": [_without_response(row) if row.get(REPLACED) else row for row in rows]}

    def encode(self, rows: Sequence[Record]) -> Batch:
        """Model inputs and labels of rows that all have a response; the rows are not changed, although TRL's
        collator writes.
        """
        return self.clean([{key: row[key] for key in COLUMNS} for row in rows])


def _without_response(row: Record) -> Record:
    return {key: value for key, value in row.items() if key != "completion"}
