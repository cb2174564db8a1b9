"""Deterministic responses of a model to a data set: written to a journal as they come, resumed after a kill, shared
among processes.
"""

import json
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byorn.data.fingerprint import fingerprint
from byorn.data.row import Row
from byorn.errors import MismatchError
from byorn.models.digest import adapter_digest, model_digest, processor_digest
from byorn.models.generate import Generated, generate_bounded
from byorn.runs.atomic import atomic_path
from byorn.runs.batches import length_order
from byorn.runs.identity import UNSAID, require_same
from byorn.runs.sealed import opened_line, sealed_line
from byorn.runs.stage import Compute, Record

if TYPE_CHECKING:
    from byorn.training.responses import ResponseSource

MADE_BY = "made_by"
PREDICTION = frozenset({"id", "turn", "instruction", "prediction", "references", "tokens", "truncated"})


def references_of(row: Row) -> list[str]:
    """The true responses of a row: its own `references` column (a list of texts), else its response."""
    listed = row.meta.get("references")
    if isinstance(listed, list) and listed and all(isinstance(text, str) for text in listed):
        return listed
    return [row.response]


def answering(
    model: Any, processor: Any, rows: Sequence[Row], max_new_tokens: int, source: "ResponseSource | None" = None
) -> tuple[list[int], Compute]:
    """The order in which to answer rows, and the stage's function that gives the greedy responses to a batch of
    them, see `PREDICTION`: those of `source`, of transformers without one.
    """
    from byorn.data.dataset import to_dataset

    dataset = to_dataset(rows)

    def compute(batch: Sequence[int]) -> list[tuple[int, Record]]:
        samples = [dataset[index] for index in batch]
        if source is None:
            responses = generate_bounded(model, processor, samples, max_new_tokens=max_new_tokens)
        else:
            responses = source(model, samples, 0)
        return [(index, _record(rows[index], response)) for index, response in zip(batch, responses, strict=True)]

    return length_order(dataset), compute


def _record(row: Row, response: Generated) -> Record:
    return {
        "id": row.id,
        "turn": row.turn,
        "instruction": row.instruction,
        "prediction": response.text,
        "references": references_of(row),
        "tokens": response.tokens,
        "truncated": response.truncated,
    }


def identity(model: Any, processor: Any, rows: Sequence[Row], max_new_tokens: int, engine: str) -> dict[str, str]:
    """What predictions depend on: rows and their references, model, adapter, processor, length limit, engine."""
    references = json.dumps([references_of(row) for row in rows])
    return {
        "data": _digest(fingerprint(rows) + references),
        "model_digest": model_digest(model),
        "adapter_digest": adapter_digest(model),
        "processor_digest": processor_digest(processor),
        "max_new_tokens": str(max_new_tokens),
        "response_engine": engine,
    }


def write_predictions(path: Path, records: Sequence[Record], made_from: dict[str, str]) -> None:
    """One line a row, each with its identity and a checksum; the file appears whole or not at all."""
    lines = [sealed_line({**record, MADE_BY: made_from}) for record in records]
    with atomic_path(path) as partial:
        partial.write_text("".join(lines), encoding="utf-8")


def read_predictions(path: Path, rows: Sequence[Row], made_from: dict[str, str]) -> list[Record]:
    """The predictions of an earlier run.

    Raises:
        MismatchError: They are of another model, adapter or engine, or about other rows, or not as they were written.
    """
    records = [_opened(line, number, path) for number, line in enumerate(path.read_bytes().splitlines(), start=1)]
    for record in records:
        _require_made_from(record[MADE_BY], made_from, path)
    if [(record["id"], record["turn"]) for record in records] != [row.key for row in rows]:
        raise MismatchError(f"{path}: lines were lost or moved since it was written; delete it or use another --out")
    return records


def _require_made_from(found: Any, wanted: dict[str, str], path: Path) -> None:
    """Refuse another identity; versions that wrote down a digest of it cannot say what differs."""
    if isinstance(found, dict):
        require_same(found, wanted, path)
    elif found != _made_by(wanted):
        raise MismatchError(
            f"{path}: made from another model, adapter, data set or length limit, or by another engine; delete it or "
            "use another --out"
        )


def _made_by(made_from: dict[str, str]) -> str:
    """A digest of an identity; answers of versions that named no engine have that of the one there was."""
    said = {name: value for name, value in made_from.items() if UNSAID.get(name) != value}
    return _digest(json.dumps(said, sort_keys=True))


def _opened(line: bytes, number: int, path: Path) -> Record:
    record = opened_line(line)
    if record is None or record.keys() != PREDICTION | {MADE_BY}:
        raise MismatchError(f"{path}: line {number} changed since it was written; delete the file and evaluate again")
    return record


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
