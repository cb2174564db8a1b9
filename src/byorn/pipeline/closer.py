"""A closer look at the rows that a report shows, while the model of the scan is in memory."""

from collections.abc import Mapping, Sequence
from typing import Any

from byorn.models.generate import generate_bounded
from byorn.models.inputs import Inputs
from byorn.report.closer import CLOSER, Closer, Key, Token, read_closer, write_closer
from byorn.report.run import Run, made_from
from byorn.runs.narrate import say
from byorn.scoring.tokens import spell

LONGEST = 64
"""Tokens of an answer of the pretrained model."""


def look_closer(inputs: Inputs, run: Run, shown: Sequence[int]) -> Mapping[Key, Closer]:
    """The tokens of these rows, and what the model would have said; also in `closer.jsonl`, where they are taken from
    if the scan is the same.

    Args:
        inputs: The rows with the model.
        run: Their scan.
        shown: Numbers of rows.
    """
    path = run.folder / CLOSER
    held = read_closer(path, made_from(run))
    wanted = [number for number in shown if inputs.rows[number].key not in held]
    if not wanted:
        return held
    say(f"asking the pretrained model about {len(shown)} of the rows that the report shows")
    found = {inputs.rows[number].key: _look(inputs, number) for number in shown}
    kept = {key: closer for key, closer in found.items() if closer is not None}
    write_closer(path, kept, made_from(run))
    return kept


def _look(inputs: Inputs, number: int) -> Closer | None:
    """One row; None where the model fails on it, as on a row that could not be scored."""
    import torch

    try:
        sample = inputs.dataset[number]
        spelled = spell(inputs.model, inputs.processor, sample)
        answer = _answer(inputs, sample)
    except torch.AcceleratorError:  # the device is lost, and every later row would be blamed for it
        raise
    except Exception:  # decoders and processors fail on hostile rows in every way there is
        return None
    return Closer(
        head=[Token(*one) for one in zip(spelled.head, spelled.head_nats, strict=True)],
        tail=[Token(*one) for one in zip(spelled.tail, spelled.tail_nats, strict=True)],
        left_out=spelled.left_out,
        answer=answer,
    )


def _answer(inputs: Inputs, sample: dict[str, Any]) -> str:
    (made,) = generate_bounded(inputs.model, inputs.processor, [sample], max_new_tokens=LONGEST)
    return made.text + ("…" if made.truncated else "")
