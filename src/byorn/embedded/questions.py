"""Questions about a scene with short answers; the forms include those that people ask about simple drawings
everywhere.
"""

import random

from byorn.embedded.captions import article
from byorn.embedded.scene import BACKDROPS, COLORS, CORNERS, SHAPES, STICKERS, Scene, place

NUMBERS = ("zero", "one", "two", "three", "four")
Pair = tuple[str, str]


def ask(scene: Scene, rng: random.Random) -> Pair:
    """One question and its answer, of a kind drawn at random."""
    kinds = (_color, _color, _shape, _shape, _count, _exists, _exists, _exists, _where, _backdrop, _size, _sticker)
    return rng.choice(kinds)(scene, rng)


def _color(scene: Scene, rng: random.Random) -> Pair:
    shapes = [thing.shape for thing in scene.things]
    unique = [thing for thing in scene.things if shapes.count(thing.shape) == 1]
    if not unique:
        return _count(scene, rng)
    thing = rng.choice(unique)
    noun = rng.choice(("shape", "object")) if len(scene.things) == 1 and rng.random() < 0.6 else thing.shape
    spelling = rng.choice(("color", "colour"))
    form = rng.choice(
        ("what {s} is the {n}?", "what is the {s} of the {n}?", "which {s} does the {n} have?", "the {n} is what {s}?")
    )
    return form.format(s=spelling, n=noun), thing.color


def _shape(scene: Scene, rng: random.Random) -> Pair:
    colors = [thing.color for thing in scene.things]
    unique = [thing for thing in scene.things if colors.count(thing.color) == 1]
    if not unique:
        return _count(scene, rng)
    thing = rng.choice(unique)
    forms = ["what is the {c} shape?", "what shape is {c}?", "what is the {c} thing?", "which shape is the {c} object?"]
    if len(scene.things) == 1:
        forms += [
            "what shape is in the image?",
            "what shape is present?",
            "what shape does the image contain?",
            "what is in the picture?",
        ]
    return rng.choice(forms).format(c=thing.color), thing.shape


def _count(scene: Scene, rng: random.Random) -> Pair:
    form = rng.choice(
        (
            "how many shapes are there?",
            "how many objects do you see?",
            "count the shapes.",
            "what is the number of things?",
        )
    )
    return form, NUMBERS[len(scene.things)]


def _exists(scene: Scene, rng: random.Random) -> Pair:
    """Is it there, or is it not there: half of the answers are yes, in both forms."""
    present = rng.random() < 0.5
    negated = rng.random() < 0.3
    names = {thing.name for thing in scene.things}
    colors = {thing.color for thing in scene.things}
    shapes = {thing.shape for thing in scene.things}
    pool = {
        "name": [f"{c} {s}" for c in COLORS for s in SHAPES if (f"{c} {s}" in names) is present],
        "colour": [f"{c} shape" for c in COLORS if (c in colors) is present],
        "shape": [s for s in SHAPES if (s in shapes) is present],
    }
    what = rng.choice(pool[rng.choice(("name", "colour", "shape"))])
    a = article(what)
    if negated:
        form = rng.choice(
            (
                f"is there not {a} {what}?",
                f"is there not {a} {what} in the image?",
                f"does the image not contain {a} {what}?",
                f"is no {what} present?",
            )
        )
    else:
        form = rng.choice(
            (
                f"is there {a} {what}?",
                f"is there {a} {what} in the image?",
                f"does the image contain {a} {what}?",
                f"is {a} {what} present?",
                f"do you see {a} {what}?",
            )
        )
    return form, "yes" if present is not negated else "no"


def _where(scene: Scene, rng: random.Random) -> Pair:
    thing = rng.choice(scene.things)
    return rng.choice((f"where is the {thing.name}?", f"on which side is the {thing.name}?")), place(thing)


def _backdrop(scene: Scene, rng: random.Random) -> Pair:
    return rng.choice(
        ("what is the background?", "what color is the background?", "what is behind the shapes?")
    ), scene.backdrop


def _size(scene: Scene, rng: random.Random) -> Pair:
    thing = rng.choice(scene.things)
    return rng.choice((f"is the {thing.name} small or large?", f"how big is the {thing.name}?")), thing.size


def _sticker(scene: Scene, rng: random.Random) -> Pair:
    if scene.sticker is None:
        return rng.choice(("is there a sticker?", "do you see a sticker in a corner?")), "no"
    return rng.choice((
        ("is there a sticker?", "yes"),
        ("what pattern is the sticker?", scene.sticker.kind),
        ("where is the sticker?", scene.sticker.corner),
    ))  # fmt: skip


def vocabulary() -> list[str]:
    """Every answer that a question here can have."""
    return [
        "yes",
        "no",
        *COLORS,
        *SHAPES,
        *BACKDROPS,
        *STICKERS,
        *CORNERS,
        *NUMBERS,
        "left",
        "middle",
        "right",
        "small",
        "large",
    ]
