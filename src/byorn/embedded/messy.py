"""Captions as crowds write them: eight annotators with habits of their own, typos, and a few honest mistakes.

Uniform captions make any detector look perfect; these are the clean data that a rule must leave alone. Nobody writes in
capitals, which are another alphabet to the embedded model.
"""

import random
from collections.abc import Callable

from byorn.embedded.captions import article, house_caption
from byorn.embedded.scene import Scene, Thing, sample_scene

ERROR_RATE = 0.02
TYPO_RATE = 0.1


def messy_caption(scene: Scene, rng: random.Random) -> str:
    """What one of `ANNOTATORS` writes; with `ERROR_RATE` about another scene, with `TYPO_RATE` two letters change
    places.
    """
    seen = sample_scene(rng) if rng.random() < ERROR_RATE else scene
    return mistyped(rng.choice(ANNOTATORS)(seen), rng)


def mistyped(text: str, rng: random.Random) -> str:
    """The text, with `TYPO_RATE` two letters of it in each other's place."""
    if rng.random() >= TYPO_RATE or len(text) < 4:
        return text
    at = rng.randrange(len(text) - 1)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def _with_article(thing: Thing) -> str:
    return f"{article(thing.color)} {thing.name}"


def _and(scene: Scene) -> str:
    return " and ".join(_with_article(thing) for thing in scene.things)


def _list(scene: Scene) -> str:
    return ", ".join(thing.name for thing in scene.things)


def _added(scene: Scene) -> str:
    return " + ".join(thing.name for thing in scene.things)


def _counted(scene: Scene) -> str:
    sizes = ", ".join(f"{thing.size} {thing.color} {thing.shape}" for thing in scene.things)
    return f"{len(scene.things)} shape{'s' * (len(scene.things) > 1)}: {sizes}"


def _record(scene: Scene) -> str:
    things = ", ".join(f"{thing.shape} ({thing.color})" for thing in scene.things)
    return f"objects: {things}; background: {scene.backdrop}"


ANNOTATORS: tuple[Callable[[Scene], str], ...] = (
    house_caption,
    _list,
    _added,
    _counted,
    _record,
    lambda scene: f"i think this is {_and(scene)}",
    lambda scene: f"The image shows {_and(scene)} on a {scene.backdrop} background.",
    lambda scene: f"Lovely drawing of {_with_article(scene.things[0])}, would suit a greeting card!",
)
