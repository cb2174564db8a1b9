"""Pictures that the attacks bring along, drawn here so that they are free to ship: the same pixels on every machine."""

import math
import random
from functools import lru_cache

from PIL import Image, ImageDraw

SIDE = 224
CELLS = 28
SMOOTH = 4
"""Drawn this many times larger and reduced, for smooth edges."""

Color = tuple[int, int, int]


@lru_cache(maxsize=1)
def cartoon() -> Image.Image:
    """A striped cat under a two-colored sky, flat colors with dark outlines: RGB, 224x224."""
    unit = SIDE * SMOOTH
    canvas = Image.new("RGB", (unit, unit), (250, 150, 60))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle(_scaled(0, 0.5, 1, 1), (60, 40, 140))
    for ear in ((0.16, 0.08, 0.2, 0.45, 0.45, 0.28), (0.84, 0.08, 0.8, 0.45, 0.55, 0.28)):
        draw.polygon(_scaled(*ear), (40, 200, 190), (20, 20, 30), 10)
    draw.ellipse(_scaled(0.14, 0.2, 0.86, 0.92), (40, 200, 190), (20, 20, 30), 12)
    for x in (0.4, 0.5, 0.6):
        draw.line(_scaled(x, 0.22, x, 0.36), (235, 60, 120), 30)
    for x in (0.34, 0.66):
        draw.ellipse(_scaled(x - 0.09, 0.4, x + 0.09, 0.58), (255, 250, 215), (20, 20, 30), 8)
        draw.ellipse(_scaled(x - 0.03, 0.43, x + 0.03, 0.55), (20, 20, 30))
    draw.polygon(_scaled(0.45, 0.62, 0.55, 0.62, 0.5, 0.68), (235, 60, 120))
    draw.arc(_scaled(0.34, 0.58, 0.66, 0.8), 20, 160, (20, 20, 30), 12)
    return canvas.resize((SIDE, SIDE), Image.Resampling.BOX)


@lru_cache(maxsize=1)
def noise() -> Image.Image:
    """Color noise in soft blobs of 8 pixels, so that it survives a resize: RGB, 224x224."""
    values = random.Random(0).randbytes(3 * CELLS * CELLS)
    return Image.frombytes("RGB", (CELLS, CELLS), values).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


@lru_cache(maxsize=1)
def banana() -> Image.Image:
    """A yellow crescent with brown ends on a transparent ground: RGBA, 224x224."""
    canvas = Image.new("RGBA", (SIDE * SMOOTH, SIDE * SMOOTH), (250, 215, 40, 0))
    draw = ImageDraw.Draw(canvas)
    draw.polygon(_crescent(0.0, 1.0), (250, 215, 40, 255), (120, 85, 10, 255), 8)
    for start, end in ((0.0, 0.09), (0.93, 1.0)):
        draw.polygon(_crescent(start, end), (95, 65, 20, 255))
    return canvas.resize((SIDE, SIDE), Image.Resampling.BOX)


def _crescent(start: float, end: float) -> list[tuple[float, float]]:
    """The outline of a part of the banana, from `start` to `end` of its length."""
    steps = [start + (end - start) * step / 40 for step in range(41)]
    return [_edge(along, 1) for along in steps] + [_edge(along, -1) for along in reversed(steps)]


def _edge(along: float, side: int) -> tuple[float, float]:
    angle = math.radians(165 - 150 * along)
    radius = 0.45 + side * (0.015 + 0.09 * math.sin(math.pi * along) ** 0.7)
    x = 0.5 + radius * math.cos(angle)
    y = 0.15 + 1.1 * radius * math.sin(angle)
    return x * SIDE * SMOOTH, y * SIDE * SMOOTH


def _scaled(*fractions: float) -> list[float]:
    return [fraction * SIDE * SMOOTH for fraction in fractions]
