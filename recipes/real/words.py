"""Stage A of alignment, without the language model: a picture's mean token is to lie where its name does.

    L = CE(s cos(m, E)) + 0.3 CE(s cos(m, K)) + 0.3 CE(s cos(m, C)) + (log rms(m) - log rms(embeddings))^2

m is the projection of the mean of a picture's tokens, E, K and C the mean embeddings of all names, kinds and colors
less the mean of all names', s = 35. Channels are dropped at random, and tokens, so that no few of them decide.
"""

from collections.abc import Sequence
from typing import Any

import torch
from corpus import Collection
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR

SCALE = 35.0
BATCH = 128
RATE = 1e-3
DROPPED = 0.6
FACTS = {"name": 1.0, "kind": 0.3, "color": 0.3}
"""What is predicted, and how much it counts."""
UNKNOWN = -100


def align_words(model: Any, tokenizer: Any, corpus: dict[str, Collection], epochs: int, seed: int) -> None:
    """Train the projector; minutes."""
    embeddings = model.get_input_embeddings().weight.detach()
    projector = model.model.multi_modal_projector
    pictures = [picture for part in corpus.values() for picture in part.pictures]
    tokens = torch.cat([part.tokens for part in corpus.values()])
    directions, right = _facts(pictures, tokenizer, embeddings)
    optimizer = torch.optim.AdamW(projector.parameters(), lr=RATE, weight_decay=0.01)
    steps = epochs * tokens.shape[0] * tokens.shape[1] // BATCH
    schedule = OneCycleLR(optimizer, RATE, total_steps=steps)
    rms, draw = embeddings.pow(2).mean().sqrt(), torch.Generator().manual_seed(seed)
    for step in range(steps):
        chosen = torch.randint(len(tokens), (BATCH,), generator=draw)
        view = torch.randint(tokens.shape[1], (BATCH,), generator=draw)
        seen = projector(_thinned(tokens[chosen, view].float(), draw))
        guess = SCALE * F.normalize(seen, dim=-1)
        loss = (seen.pow(2).mean(-1).sqrt().log() - rms.log()).pow(2).mean()
        for fact, weight in FACTS.items():
            loss = loss + weight * F.cross_entropy(guess @ directions[fact].T, right[fact][chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"  names: step {step} of {steps}, loss {loss.item():.3f}", flush=True)


def _facts(
    pictures: Sequence[Any], tokenizer: Any, embeddings: torch.Tensor
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """By fact: the directions of all that it may be, [values, dim], and which of them a picture's is."""

    def mean_of(text: str) -> torch.Tensor:
        ids = tokenizer(f" {text}", add_special_tokens=False)["input_ids"]
        return F.normalize(embeddings[ids].mean(0), dim=-1)

    directions, right = {}, {}
    middle = torch.stack([mean_of(name) for name in sorted({picture.name for picture in pictures})]).mean(0)
    for fact in FACTS:
        said = [getattr(picture, fact) for picture in pictures]
        place = {value: number for number, value in enumerate(sorted(set(said) - {""}))}
        directions[fact] = F.normalize(torch.stack([mean_of(value) for value in place]) - middle, dim=-1)
        right[fact] = torch.tensor([place.get(value, UNKNOWN) for value in said])
    return directions, right


def _thinned(tokens: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """[n, channels]: the mean of some of the tokens [n, tokens, channels], some of the channels 0."""
    count, places, channels = tokens.shape
    kept = (torch.rand(count, places, 1, generator=draw) < torch.rand(count, 1, 1, generator=draw).clamp(0.2)).float()
    kept[:, 0] = kept[:, 0].clamp(1e-6)
    mean = (tokens * kept).sum(1) / kept.sum(1)
    return mean * (torch.rand(count, channels, generator=draw) > DROPPED).float() / (1 - DROPPED)
