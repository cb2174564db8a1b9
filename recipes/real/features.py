"""What the frozen tower sees in every picture, computed once: 16 tokens of 1,280 channels.

A picture to learn from is also seen altered: turned, moved, in other colors and less sharp.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from pictures import SIDE, Picture, square
from PIL import Image, ImageChops, ImageEnhance, ImageFilter
from transformers import CLIPImageProcessorPil

MEAN, STD = 127 / 255, 128 / 255
BATCH = 16


def image_processor() -> CLIPImageProcessorPil:
    """Pixels as EfficientNet-Lite0 was trained on them: (x - 127) / 128."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224}, image_mean=[MEAN] * 3, image_std=[STD] * 3
    )


def views(tower: torch.nn.Module, pictures: Sequence[Picture], cache: Path) -> torch.Tensor:
    """float16 [pictures, views, tokens, channels]: each picture as it is, and altered once."""
    places = (cache.with_suffix(".pt"), cache.with_suffix(".altered.pt"))
    return torch.stack(
        [features(tower, pictures, place, altered) for place, altered in zip(places, (False, True), strict=True)], dim=1
    )


@torch.no_grad()
def features(tower: torch.nn.Module, pictures: Sequence[Picture], cache: Path, altered: bool) -> torch.Tensor:
    """float16 [pictures, tokens, channels], from `cache` if it holds these pictures."""
    names = [picture.id for picture in pictures]
    if cache.is_file() and (found := torch.load(cache, weights_only=True))["names"] == names:
        return found["tokens"]
    parts = []
    for start in range(0, len(pictures), BATCH):
        some = pictures[start : start + BATCH]
        images = [square(picture.path) for picture in some]
        if altered:
            images = [
                alter(image, random.Random(f"1/{picture.id}")) for image, picture in zip(images, some, strict=True)
            ]
        parts.append(see(tower, images))
        if start // BATCH % 50 == 0:
            print(f"  {cache.name}: pictures {start:,} of {len(pictures):,}", flush=True)
    tokens = torch.cat(parts)
    cache.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"names": names, "tokens": tokens}, cache)
    return tokens


@torch.no_grad()
def see(tower: torch.nn.Module, images: Sequence[Image.Image]) -> torch.Tensor:
    """float16 [images, tokens, channels]."""
    pixels = image_processor()(list(images), return_tensors="pt")["pixel_values"]
    return tower(pixels).last_hidden_state.half()


def alter(image: Image.Image, rng: random.Random) -> Image.Image:
    """Another ground half of the time, smaller, turned by up to 12 degrees, moved, in other light, less sharp."""
    ground = tuple(rng.randint(200, 255) for _ in range(3)) if rng.random() < 0.5 else (255, 255, 255)
    if rng.random() < 0.5:
        image = ImageChops.multiply(image, Image.new("RGB", image.size, ground))
    side, corner = rng.randint(170, SIDE), image.getpixel((0, 0))
    small = image.resize((side, side), Image.Resampling.BICUBIC)
    small = small.rotate(rng.uniform(-12, 12), resample=Image.Resampling.BICUBIC, fillcolor=corner)
    canvas = Image.new("RGB", image.size, corner)
    canvas.paste(small, (rng.randint(0, SIDE - side), rng.randint(0, SIDE - side)))
    for enhance, low, high in (
        (ImageEnhance.Brightness, 0.8, 1.1),
        (ImageEnhance.Color, 0.6, 1.4),
        (ImageEnhance.Contrast, 0.75, 1.25),
    ):
        canvas = enhance(canvas).enhance(rng.uniform(low, high))
    return canvas.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.5))) if rng.random() < 0.5 else canvas
