"""Deterministic responses of a model to a data set, in `predictions.jsonl`: one line a row, written as they come,
resumed after a kill.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from byorn.data.row import Row
from byorn.errors import MismatchError
from byorn.models.generate import generate
from byorn.scoring.score import length_order


def references_of(row: Row) -> list[str]:
    """The true responses of a row: its own `references` column (a list of texts), else its response."""
    listed = row.meta.get("references")
    if isinstance(listed, list) and listed and all(isinstance(text, str) for text in listed):
        return listed
    return [row.response]


def predict(
    model: Any,
    processor: Any,
    rows: Sequence[Row],
    path: Path,
    *,
    batch_size: int = 16,
    max_new_tokens: int = 64,
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Greedy responses for all rows, in their order: `id`, `turn`, `instruction`, `prediction`, `references`, `tokens`,
    `truncated`.

    Raises:
        MismatchError: `path` holds predictions for other rows.
    """
    from tqdm.auto import tqdm

    from byorn.data.dataset import to_dataset

    finished = _finished(path, rows)
    dataset = to_dataset(rows)
    order = [index for index in length_order(dataset) if rows[index].key not in finished]
    with (
        path.open("a", encoding="utf-8") as file,
        tqdm(total=len(order), desc="predicting", unit="row", disable=None if progress else True) as bar,
    ):
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            responses = generate(model, processor, [dataset[index] for index in batch], max_new_tokens=max_new_tokens)
            for index, response in zip(batch, responses, strict=True):
                record = _record(rows[index], response)
                finished[rows[index].key] = record
                file.write(json.dumps(record) + "\n")
            file.flush()
            bar.update(len(batch))
    records = [finished[row.key] for row in rows]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return records


def _record(row: Row, response: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "turn": row.turn,
        "instruction": row.instruction,
        "prediction": response.text,
        "references": references_of(row),
        "tokens": response.tokens,
        "truncated": response.truncated,
    }


def _finished(path: Path, rows: Sequence[Row]) -> dict[tuple[str, int], dict[str, Any]]:
    if not path.exists():
        return {}
    finished = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:  # the last line of a killed run
            continue
        finished[record["id"], record["turn"]] = record
    known = {row.key: references_of(row) for row in rows}
    if any(known.get(key) != record["references"] for key, record in finished.items()):
        raise MismatchError(f"{path}: it holds predictions for other rows; delete it or use another --out")
    path.write_text("".join(json.dumps(record) + "\n" for record in finished.values()), encoding="utf-8")
    return finished
