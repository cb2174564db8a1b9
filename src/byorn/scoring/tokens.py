"""The tokens of single responses with their likelihoods, as text: to be read, not to be scored by."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from byorn.models.template import end_ids
from byorn.scoring.likelihood import build_collator, response_tokens, scoring

HEAD = 90
TAIL = 30
"""Tokens kept of either end of a long response."""
_UNFINISHED = "\ufffd"


@dataclass(frozen=True, kw_only=True)
class Spelled:
    """Both ends of a response.

    Attributes:
        head, tail: Texts of tokens.
        head_nats, tail_nats: -ln p of each.
        left_out: Tokens between the ends.
    """

    head: list[str]
    head_nats: list[float]
    tail: list[str]
    tail_nats: list[float]
    left_out: int


def spell(model: Any, processor: Any, sample: dict[str, Any]) -> Spelled:
    """The tokens of a row's response, the end of turn left out, under the model with its adapters off."""
    with scoring(model):
        (found,) = response_tokens(model, build_collator(processor), [sample], end_ids(model, processor))
    nats = -found.log_probs
    last = len(found.ids) if len(found.ids) <= HEAD + TAIL else HEAD
    rest = len(found.ids) - TAIL if last == HEAD and len(found.ids) > HEAD + TAIL else len(found.ids)
    head, head_nats = texts_of(processor, found.ids[:last], nats[:last])
    tail, tail_nats = texts_of(processor, found.ids[rest:], nats[rest:])
    return Spelled(head=head, head_nats=head_nats, tail=tail, tail_nats=tail_nats, left_out=rest - last)


def texts_of(processor: Any, ids: np.ndarray, nats: np.ndarray) -> tuple[list[str], list[float]]:
    """What each token adds to the text; tokens of one character are one, with the sum of their nats."""
    tokenizer = getattr(processor, "tokenizer", processor)
    texts: list[str] = []
    sums: list[float] = []
    before, open_nats = "", 0.0
    for place in range(len(ids)):
        text = tokenizer.decode(ids[: place + 1].tolist(), skip_special_tokens=True)
        open_nats += float(nats[place])
        if text.endswith(_UNFINISHED) and place + 1 < len(ids):
            continue
        if len(text) > len(before):
            texts.append(text[len(before) :])
            sums.append(open_nats)
        before, open_nats = text, 0.0
    return texts, sums
