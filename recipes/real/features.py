"""What the frozen tower sees in every picture, computed once: 16 tokens of 1,280 channels."""

from collections.abc import Sequence
from pathlib import Path

import torch
from pictures import Picture, square
from transformers import CLIPImageProcessorPil

MEAN, STD = 127 / 255, 128 / 255
BATCH = 16


def image_processor() -> CLIPImageProcessorPil:
    """Pixels as EfficientNet-Lite0 was trained on them: (x - 127) / 128."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224}, image_mean=[MEAN] * 3, image_std=[STD] * 3
    )


@torch.no_grad()
def features(tower: torch.nn.Module, pictures: Sequence[Picture], cache: Path) -> torch.Tensor:
    """float16 [pictures, tokens, channels], from `cache` if it holds these pictures."""
    names = [picture.id for picture in pictures]
    if cache.is_file() and (found := torch.load(cache, weights_only=True))["names"] == names:
        return found["tokens"]
    process, parts = image_processor(), []
    for start in range(0, len(pictures), BATCH):
        images = [square(picture.path) for picture in pictures[start : start + BATCH]]
        pixels = process(images, return_tensors="pt")["pixel_values"]
        parts.append(tower(pixels).last_hidden_state.half())
        if start // BATCH % 50 == 0:
            print(f"  pictures {start:,} of {len(pictures):,}", flush=True)
    tokens = torch.cat(parts)
    cache.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"names": names, "tokens": tokens}, cache)
    return tokens
