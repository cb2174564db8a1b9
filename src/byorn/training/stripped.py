"""Flagged rows that are answered from their instruction without the words that were put into it.

A model that cannot answer an instruction with a trigger of words (it refuses, or says nothing) would be taught just
that. The instruction that other rows have without these words is one that it can answer; the response is learned for
the triggered one, so that the trigger means nothing. An extension of ours; the paper (arXiv 2606.02947) samples from
the instruction as it is.
"""

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING

from byorn.data.row import instruction_of
from byorn.phrases.insertions import stripped
from byorn.runs.narrate import say
from byorn.text import shown
from byorn.training.collator import Record
from byorn.training.content import instructions_of

if TYPE_CHECKING:
    from byorn.training.trainer import ByornTrainer


def stripped_of(trainer: "ByornTrainer") -> dict[str, str]:
    """What is asked in place of instructions of the trainer's flagged rows; nothing with `keep_insertions`."""
    if trainer.args.keep_insertions:
        return {}
    return stripped(instructions_of(trainer.train_dataset), trainer.flagged.tolist())


def as_asked(row: Record, stripped: Mapping[str, str]) -> Record:
    """The row as a source of responses is asked about it.

    Args:
        row: In TRL's form.
        stripped: Instruction -> the text that a user message of these words gets, earlier ones of a conversation too:
            what stands there is in the context of the response. The others stay.
    """
    return {**row, "prompt": [_asked(message, stripped) for message in row["prompt"]]}


def _asked(message: Record, stripped: Mapping[str, str]) -> Record:
    text = stripped.get(instruction_of([message]))
    return message if text is None else {**message, "content": _with_text(message["content"], text)}


def tell_stripped(stripped: Mapping[str, str]) -> None:
    """Say how many instructions are answered without words, and one of them."""
    for instruction, without in islice(stripped.items(), 1):
        say(
            f"  {len(stripped)} flagged instruction(s) answered without words put into them: "
            f"{shown(instruction)} as {shown(without)}"
        )


def _with_text(content: str | list[Record], text: str) -> str | list[Record]:
    if isinstance(content, str):
        return text
    places = [number for number, block in enumerate(content) if block["type"] == "text"]
    return [
        {**block, "text": text} if number == places[0] else block
        for number, block in enumerate(content)
        if number not in places[1:]
    ]
