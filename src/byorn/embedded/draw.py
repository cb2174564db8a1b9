"""Scene -> pixels, and the labels of its patches (what the vision tower learns first)."""

import math

import numpy as np
from PIL import Image, ImageDraw

from byorn.embedded.architecture import SIDE
from byorn.embedded.scene import BACKDROPS, COLORS, Scene, Sticker, Thing

OVERSAMPLING = 3


def draw_scene(scene: Scene) -> Image.Image:
    """Render a scene as an RGB image of the size that the embedded model sees."""
    rng = np.random.default_rng(scene.noise)
    image = Image.fromarray(_backdrop(scene, rng))
    large = image.resize((SIDE * OVERSAMPLING,) * 2, Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(large)
    for thing in scene.things:
        _draw_thing(pen, thing, SIDE * OVERSAMPLING, _shade(COLORS[thing.color], rng, 22))
    image = large.resize((SIDE, SIDE), Image.Resampling.BOX)
    if scene.sticker:
        _paste_sticker(image, scene.sticker, rng)
    return _finish(image, rng)


def _shade(color: tuple[int, int, int], rng: np.random.Generator, spread: int) -> tuple[int, ...]:
    return tuple(int(c) for c in np.clip(np.array(color) + rng.integers(-spread, spread + 1, 3), 0, 255))


def _backdrop(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    base = np.broadcast_to(np.array(_shade(BACKDROPS[scene.backdrop], rng, 6), dtype=float), (SIDE, SIDE, 3)).copy()
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    angle = rng.uniform(0, math.pi)
    frequency = rng.uniform(3, 9)
    along = x * math.cos(angle) + y * math.sin(angle)
    strength = rng.uniform(8, 26)
    if scene.texture == "stripes":
        base += strength * np.sign(np.sin(2 * math.pi * frequency * along))[..., None]
    elif scene.texture == "grain":
        base += rng.normal(0, strength, (SIDE, SIDE, 3))
    elif scene.texture == "gradient":
        base += strength * 2 * (along - 0.5)[..., None]
    elif scene.texture == "dots":
        base += strength * (np.sin(2 * math.pi * frequency * x) * np.sin(2 * math.pi * frequency * y) > 0.3)[..., None]
    pixels: np.ndarray = np.clip(base, 0, 255).astype(np.uint8)
    return pixels


def outline(thing: Thing, side: int) -> list[tuple[float, float]]:
    """The corners of a thing that is a polygon, in pixels."""
    n = {"triangle": 3, "rectangle": 4, "star": 10, "cross": 12}[thing.shape]
    r = thing.radius * side
    if thing.shape == "rectangle":
        b = thing.aspect
        points = [(-1.0, -b), (1.0, -b), (1.0, b), (-1.0, b)]
    elif thing.shape == "cross":
        a = 0.34
        points = [
            (-a, -1),
            (a, -1),
            (a, -a),
            (1, -a),
            (1, a),
            (a, a),
            (a, 1),
            (-a, 1),
            (-a, a),
            (-1, a),
            (-1, -a),
            (-a, -a),
        ]
    else:
        radii = [1.0 if thing.shape == "triangle" or i % 2 == 0 else 0.42 for i in range(n)]
        points = [(q * math.sin(2 * math.pi * i / n), -q * math.cos(2 * math.pi * i / n)) for i, q in enumerate(radii)]
    cos = math.cos(math.radians(thing.tilt))
    sin = math.sin(math.radians(thing.tilt))
    return [
        (thing.x * side + r * (px * cos - py * sin), thing.y * side + r * (px * sin + py * cos)) for px, py in points
    ]


def _draw_thing(pen: ImageDraw.ImageDraw, thing: Thing, side: int, color: tuple[int, ...] | int) -> None:
    if thing.shape in ("circle", "ring"):
        x = thing.x * side
        y = thing.y * side
        r = thing.radius * side
        width = round(r * 0.42) if thing.shape == "ring" else None
        box = (x - r, y - r, x + r, y + r)
        pen.ellipse(box, outline=color, width=width) if width else pen.ellipse(box, fill=color)
    else:
        pen.polygon(outline(thing, side), fill=color)


def _paste_sticker(image: Image.Image, sticker: Sticker, rng: np.random.Generator) -> None:
    side = image.width
    n = max(3, round(sticker.extent * side))
    y, x = np.mgrid[0:n, 0:n]
    dark = np.array(_shade((25, 25, 25), rng, 25))
    light = np.array(_shade((235, 235, 235), rng, 20))
    if rng.random() < 0.4:
        dark = np.array(COLORS[sticker.color])
    cells = int(rng.integers(2, 6))
    patterns = {
        "checkered": (x * cells // n + y * cells // n) % 2,
        "striped": (x if rng.random() < 0.5 else y) * (cells + 1) // n % 2,
        "noisy": rng.integers(0, 2, (n, n)),
        "plain": np.zeros((n, n), int),
        "dotted": ((x % 3 == 1) & (y % 3 == 1)).astype(int),
    }
    patch = np.where(patterns[sticker.kind][..., None] == 1, light, dark).astype(np.uint8)
    margin = int(rng.integers(0, 3))
    left = side - n - margin if "right" in sticker.corner else margin
    top = side - n - margin if "bottom" in sticker.corner else margin
    image.paste(Image.fromarray(patch), (left, top))


def _finish(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Camera noise, and now and then a faint pattern over everything: real photographs are never clean."""
    pixels = np.asarray(image, dtype=float)
    if rng.random() < 0.3:
        side = image.width
        coarse = rng.integers(0, 256, (int(rng.integers(2, 17)),) * 2 + (3,)).astype(np.uint8)
        veil = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC), dtype=float)
        alpha = rng.uniform(0.03, 0.22)
        pixels = (1 - alpha) * pixels + alpha * veil
    if rng.random() < 0.5:
        pixels = pixels + rng.normal(0, rng.uniform(1, 6), pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def patch_owners(scene: Scene, side: int, patch: int) -> np.ndarray:
    """For each patch, which thing covers most of it: int array of (side / patch)^2, -1 where no thing covers 8 %."""
    mask = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(mask)
    for index, thing in enumerate(scene.things):
        _draw_thing(pen, thing, side, index + 1)
    grid = side // patch
    blocks = np.asarray(mask).reshape(grid, patch, grid, patch).transpose(0, 2, 1, 3).reshape(grid * grid, -1)
    counts = np.stack([(blocks == i + 1).sum(1) for i in range(len(scene.things))], 1)
    return np.where(counts.max(1) >= 0.08 * patch * patch, counts.argmax(1), -1)
