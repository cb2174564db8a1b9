"""What a scene is, and how one is drawn at random: one to three colored shapes on a backdrop, with stickers and
clutter.

Everything that a caption or a question may mention is an attribute here. `draw.py` turns a scene into pixels.
"""

import random
from dataclasses import dataclass, replace

COLORS = {
    "red": (220, 30, 30),
    "green": (20, 150, 40),
    "blue": (30, 50, 230),
    "yellow": (240, 225, 30),
    "teal": (0, 128, 128),
    "brown": (120, 66, 20),
    "gray": (128, 128, 128),
    "black": (12, 12, 12),
    "orange": (250, 135, 15),
    "purple": (130, 20, 170),
    "pink": (255, 130, 190),
    "white": (250, 250, 250),
}
SHAPES = ("circle", "rectangle", "triangle", "star", "ring", "cross")
BACKDROPS = {
    "cream": (250, 240, 210),
    "mint": (205, 245, 220),
    "sky": (200, 225, 250),
    "rose": (250, 215, 220),
    "lilac": (226, 212, 246),
    "sand": (226, 205, 160),
    "slate": (84, 96, 112),
    "navy": (22, 26, 72),
}
TEXTURES = ("plain", "plain", "plain", "plain", "stripes", "grain", "gradient", "dots")
STICKERS = ("checkered", "striped", "noisy", "plain", "dotted")
CORNERS = ("top left", "top right", "bottom left", "bottom right")
PLACES = ("left", "middle", "right")


@dataclass(frozen=True, slots=True)
class Thing:
    """One object. `x`, `y` and `radius` are shares of the image side, `tilt` is in degrees, `aspect` the height of a
    rectangle over its width.
    """

    shape: str
    color: str
    x: float
    y: float
    radius: float
    tilt: float
    aspect: float = 0.62

    @property
    def size(self) -> str:
        """`small` or `large`."""
        return "large" if self.radius > 0.155 else "small"

    @property
    def name(self) -> str:
        return f"{self.color} {self.shape}"


@dataclass(frozen=True, slots=True)
class Sticker:
    """A patch that has nothing to do with the scene: `extent` is its side as a share of the image side."""

    kind: str
    corner: str
    extent: float
    color: str


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene; `things` run from left to right, `noise` seeds the pixels that no attribute describes."""

    things: tuple[Thing, ...]
    backdrop: str
    texture: str
    sticker: Sticker | None
    noise: int


def sample_scene(rng: random.Random, sticker_rate: float = 0.35) -> Scene:
    """Draw a scene: 1 to 3 things with distinct names, none on top of another."""
    count = rng.choices((1, 2, 3), (0.35, 0.4, 0.25))[0]
    columns = {1: (rng.uniform(0.25, 0.75),), 2: (0.27, 0.73), 3: (0.18, 0.5, 0.82)}[count]
    limit = {1: 0.3, 2: 0.215, 3: 0.155}[count]
    names = rng.sample([(shape, color) for shape in SHAPES for color in COLORS], count)
    things = []
    for x, (shape, color) in zip(columns, names, strict=True):
        small = count == 3 or rng.random() < 0.5
        radius = rng.uniform(0.09, 0.135) if small else rng.uniform(0.175, max(limit, 0.18))
        jitter = 0.02 if count > 1 else 0.0
        y = rng.uniform(radius + 0.02, 0.98 - radius)
        tilt = rng.uniform(-12, 12) + (90 if shape == "rectangle" and count < 3 and rng.random() < 0.3 else 0)
        things.append(Thing(shape, color, x + rng.uniform(-jitter, jitter), y, radius, tilt, rng.uniform(0.5, 0.95)))
    backdrop = rng.choice([name for name in BACKDROPS if all(_distinct(thing.color, name) for thing in things)])
    return Scene(tuple(things), backdrop, rng.choice(TEXTURES), _sample_sticker(rng, sticker_rate), rng.getrandbits(32))


def _distinct(color: str, backdrop: str) -> bool:
    return sum((a - b) ** 2 for a, b in zip(COLORS[color], BACKDROPS[backdrop], strict=True)) > 80**2


def _sample_sticker(rng: random.Random, rate: float) -> Sticker | None:
    if rng.random() >= rate:
        return None
    return Sticker(rng.choice(STICKERS), rng.choice(CORNERS), rng.uniform(0.07, 0.22), rng.choice(list(COLORS)))


def place(thing: Thing) -> str:
    """`left`, `middle` or `right`."""
    return PLACES[0 if thing.x < 0.36 else 2 if thing.x > 0.64 else 1]


def change_one(scene: Scene, rng: random.Random) -> Scene:
    """The same scene with one thing in another color: the second picture of a pair that differs."""
    index = rng.randrange(len(scene.things))
    old = scene.things[index]
    taken = {thing.name for thing in scene.things}
    color = rng.choice([c for c in COLORS if f"{c} {old.shape}" not in taken])
    things = (*scene.things[:index], replace(old, color=color), *scene.things[index + 1 :])
    return replace(scene, things=things, noise=rng.getrandbits(32))
