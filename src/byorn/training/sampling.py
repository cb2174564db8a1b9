"""How responses are sampled, whatever engine samples them, and how long they may get."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from byorn.training.collator import Record
from byorn.training.config import ByornConfig
from byorn.training.noise import stream_seed

if TYPE_CHECKING:
    from transformers import ProcessorMixin

LONGEST = 1024
"""Tokens of a response that is sampled, where nobody names a limit."""
LOOKED_AT = 1000
"""Trusted responses whose lengths are looked at, evenly spread."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How responses are sampled.

    Attributes:
        seed: Of the run.
        max_new_tokens: Length limit.
        temperature: 1 is what the bound wants; lower is safer text and a biased surrogate; 0, which vLLM alone takes
            here, is the most likely token at each step.
        top_p: Nucleus; 1 keeps everything.
        progress: Show a bar while sampling, beside that of training.
    """

    seed: int
    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    progress: bool = False

    def seed_of(self, row: Record, step: int) -> int:
        """The seed of a row's response at an optimizer step."""
        return stream_seed(self.seed, step, row.get("id", ""), row.get("turn", 0))


def sampling_of(processor: "ProcessorMixin", args: ByornConfig, trusted: Iterable[Record]) -> Sampling:
    """As the `ByornConfig` wants it; `trusted` rows give the length limit if it names none."""
    limit = args.max_response_tokens
    if limit is None:
        limit = learned_length_limit(processor, [completion_text(row["completion"]) for row in trusted])
    return Sampling(
        seed=args.seed,
        max_new_tokens=limit,
        temperature=args.response_temperature,
        top_p=args.response_top_p,
        progress=not args.disable_tqdm,
    )


def learned_length_limit(processor: "ProcessorMixin", responses: Sequence[str]) -> int:
    """A length limit for sampled responses from the lengths of trusted ones: 1.25 times their 99th percentile plus 4
    tokens, at most `LONGEST`.
    """
    import numpy as np

    chosen = responses[:: max(1, -(-len(responses) // LOOKED_AT))]
    if not chosen:
        return LONGEST
    lengths = [len(ids) for ids in processor.tokenizer(list(chosen), add_special_tokens=False)["input_ids"]]
    return int(min(LONGEST, 1.25 * np.quantile(lengths, 0.99) + 4))


def completion_text(completion: str | Sequence[Record]) -> str:
    """The text of a completion, given as messages or as plain text."""
    if isinstance(completion, str):
        return completion
    contents = [message["content"] for message in completion]
    blocks = [block for content in contents if not isinstance(content, str) for block in content]
    return "".join(
        [content for content in contents if isinstance(content, str)] + [block.get("text") or "" for block in blocks]
    )
