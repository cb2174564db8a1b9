"""New responses for the flagged rows of a scan: samples of the pretrained model, or of one with an adapter.

Each is drawn as training draws its replacements, by the same engines and from the same noise: what `byorn train` would
sample for the row at its first step. Finished ones are on disk at once, so a killed run goes on where it stopped.

In a conversation with several flagged turns the first one is answered first, and the next with that answer before it:
what an attacker wrote must not be repeated because it stands in the context.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from byorn.data.checks import TokenGuard
from byorn.data.row import Message, Row
from byorn.errors import DataError
from byorn.runs.narrate import say
from byorn.runs.sealed import write_table
from byorn.runs.stage import Record, fill, finished, open_journal
from byorn.runs.stage_table import read_records

if TYPE_CHECKING:
    from byorn.models.generate import Generated
    from byorn.training.engine.source import VllmSampledResponses
    from byorn.training.responses import ResponseSource, SampledResponses

FIELDS = frozenset({"id", "turn", "text", "tokens", "truncated"})
TRIES = 5
"""Draws of a row until one is not empty."""


def sampled_before(
    path: Path, identity: dict[str, str], rows: Sequence[Row], chosen: Sequence[int]
) -> dict[int, Record] | None:
    """What an earlier call of `resample` has sampled; None if it did not come to its end.

    Raises:
        MismatchError: It belongs to other data or another model.
        DataError: It cannot be read, or is about other rows.
    """
    if not finished(path):
        return None
    say(f"using the responses in {path}")
    records = read_records(path, identity)
    if [(record["id"], record["turn"]) for record in records] != [rows[number].key for number in chosen]:
        raise DataError(f"{path}: it answers other rows than those flagged now; delete it and run again")
    return dict(zip(chosen, records, strict=True))


def resample(
    path: Path,
    identity: dict[str, str],
    rows: Sequence[Row],
    chosen: Sequence[int],
    model: Any,
    source: "SampledResponses | VllmSampledResponses",
    together: int,
    stripped: Mapping[str, str],
) -> dict[int, Record]:
    """Row number -> its new response (`text`, `tokens`, `truncated`); kept in `path`.

    Args:
        path: A Parquet table to write.
        identity: Of data and model, see `byorn.runs.identity`.
        rows: All rows.
        chosen: The numbers of those that get a new response.
        model: What is sampled from, in eval mode.
        source: How.
        together: Rows that it is asked for at once, and whose responses are then on disk.
        stripped: Instruction -> what is asked in its place, see `byorn.training.stripped`.

    Raises:
        MismatchError: What a killed call has left belongs to other data or another model.
    """
    with open_journal(path, identity, FIELDS) as log:
        for turn in rounds(rows, chosen):
            answered = {(rows[number].origin, rows[number].turn): log.finished[number] for number in log.finished}
            prompts = {number: _asked(rows[number], answered) for number in turn}
            order = sorted(turn, key=lambda number: -_length(prompts[number]))
            compute = partial(_answer, asked=prompts, model=model, source=source, stripped=stripped)
            fill(log, order, together, compute, phase="sampling")
        records = [log.finished[number] for number in chosen]
        write_table(path, pa.Table.from_pylist(records, schema=_schema()), identity)
    log.discard()
    return dict(zip(chosen, records, strict=True))


def rounds(rows: Sequence[Row], chosen: Iterable[int]) -> list[list[int]]:
    """The first chosen row of each record, then the second of each, ...; rows made in memory are records of their
    own.
    """
    seen: dict[object, int] = {}
    found: list[list[int]] = []
    for number in chosen:
        origin = rows[number].origin
        record = origin if origin.record >= 0 else number
        place = seen.get(record, 0)
        seen[record] = place + 1
        if place == len(found):
            found.append([])
        found[place].append(number)
    return found


def _asked(row: Row, answered: Mapping[Any, Record]) -> Row:
    """The row with the new responses to earlier turns of its conversation in its prompt; whose conversation a row is of
    that was made in memory, nobody knows.
    """
    if row.origin.record < 0:
        return row
    prompt: list[Message] = []
    turn = 0
    for message in row.prompt:
        if message["role"] == "assistant":
            if record := answered.get((row.origin, turn)):
                message = {"role": "assistant", "content": [{"type": "text", "text": record["text"]}]}
            turn += 1
        prompt.append(message)
    return replace(row, prompt=prompt)


def _length(row: Row) -> int:
    return sum(len(block.get("text") or "") for message in row.prompt for block in message["content"])


def _answer(
    batch: Sequence[int],
    asked: Mapping[int, Row],
    model: Any,
    source: "SampledResponses | VllmSampledResponses",
    stripped: Mapping[str, str],
) -> list[tuple[int, Record]]:
    from byorn.data.dataset import to_dataset
    from byorn.models.template import special_tokens
    from byorn.training.stripped import as_asked

    guard = TokenGuard(special_tokens(source.processor))
    samples = [as_asked(row, stripped) for row in to_dataset([asked[number] for number in batch])]
    drawn = _not_empty(samples, model, source)
    records = [
        {
            "id": sample["id"],
            "turn": sample["turn"],
            "text": guard.neutralize(new.text)[0],
            "tokens": new.tokens,
            "truncated": new.truncated,
        }
        for sample, new in zip(samples, drawn, strict=True)
    ]
    return list(zip(batch, records, strict=True))


def _not_empty(samples: Sequence[Record], model: Any, source: "ResponseSource") -> "list[Generated]":
    """One draw for each; again where it is blank, which no data format takes, up to `TRIES` times."""
    drawn = source(model, samples, 0)
    for attempt in range(1, TRIES):
        blank = [place for place, new in enumerate(drawn) if not new.text.strip()]
        if not blank:
            break
        for place, new in zip(blank, source(model, [samples[place] for place in blank], attempt), strict=True):
            drawn[place] = new
    return drawn


def _schema() -> pa.Schema:
    kinds = {"id": pa.string(), "turn": pa.int32(), "text": pa.string(), "tokens": pa.int32(), "truncated": pa.bool_()}
    return pa.schema(list(kinds.items()))
