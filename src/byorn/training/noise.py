"""Ancestral sampling that depends on nothing but the row, the step and the seed.

Adding Gumbel noise to the log-probabilities and taking the largest draws exactly from the distribution:

    argmax_v (ln p_v + g_v),  g_v = -ln E_v,  E_v ~ Exp(1)

Each row has a noise stream of its own, so its response does not change with the batch it happens to be in, the number
of processes, or a kill and resume in between.
"""

import hashlib
from collections.abc import Sequence

import torch
from transformers import LogitsProcessor


def stream_seed(*parts: object) -> int:
    """A 63-bit seed from any parts (seed, step, row id, ...), equal on every machine."""
    text = "\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


class GumbelNoise(LogitsProcessor):
    """Adds one row's own Gumbel noise to each row of log-probabilities; greedy decoding then samples.

    Args:
        seeds: One seed a row.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds = list(seeds)
        self._generators: list[torch.Generator] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if not self._generators:
            self._generators = [torch.Generator(scores.device).manual_seed(seed) for seed in self.seeds]
        noise = torch.stack(
            [torch.empty_like(scores[0], dtype=torch.float32).exponential_(generator=g) for g in self._generators]
        )
        return torch.log_softmax(scores.float(), dim=-1) - noise.log()
