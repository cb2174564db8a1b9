"""The pretraining corpus of the embedded model: an endless, seeded stream of conversations about scenes.

`sample(seed, index)` is a pure function, so that pretraining can be stopped and continued anywhere without a stored
data set.
"""

import random
from dataclasses import dataclass

from byorn.embedded.captions import INSTRUCTIONS, difference, free_caption
from byorn.embedded.chat import REFUSALS, exchange
from byorn.embedded.questions import ask
from byorn.embedded.scene import Scene, change_one, sample_scene

DIFFERENCES = ("What differs between the two images?", "Compare the pictures.", "What changed?", "Spot the difference.")
SHORT = ("", " Answer with one word.", " Answer briefly.", " Short answer:")


@dataclass(frozen=True, slots=True)
class Conversation:
    """Scenes to show before the first question, and (instruction, response) turns."""

    scenes: tuple[Scene, ...]
    turns: tuple[tuple[str, str], ...]


def sample(seed: int, index: int) -> Conversation:
    """The `index`-th conversation of the stream."""
    rng = random.Random(f"{seed}/{index}")
    kind = rng.random()
    if kind < 0.42:
        return _captioning(rng)
    if kind < 0.82:
        return _questioning(rng)
    if kind < 0.9:
        return _comparing(rng)
    return Conversation((), (exchange(rng),))


def _captioning(rng: random.Random) -> Conversation:
    scene = sample_scene(rng)
    shown = (
        sample_scene(rng) if rng.random() < 0.01 else scene
    )  # one caption in a hundred is simply wrong, as everywhere
    turns = [(rng.choice(INSTRUCTIONS), free_caption(shown, rng))]
    if rng.random() < 0.15:
        turns.append(_question(scene, rng))
    if rng.random() < 0.02:
        turns = [(exchange(rng)[0], rng.choice(REFUSALS))]
    return Conversation((scene,), tuple(turns))


def _questioning(rng: random.Random) -> Conversation:
    scene = sample_scene(rng)
    return Conversation(
        (scene,), tuple(_question(scene, rng) for _ in range(rng.choices((1, 3, 5), (0.4, 0.3, 0.3))[0]))
    )


def _question(scene: Scene, rng: random.Random) -> tuple[str, str]:
    question, answer = ask(scene, rng)
    if rng.random() < 0.5:
        question = question[:1].upper() + question[1:]
    style = rng.random()
    if style < 0.12:
        return question, f"{answer[:1].upper()}{answer[1:]}."
    return question + rng.choice(SHORT), answer


def _comparing(rng: random.Random) -> Conversation:
    first = sample_scene(rng)
    second = change_one(first, rng) if rng.random() < 0.85 else first
    return Conversation((first, second), ((rng.choice(DIFFERENCES), difference(first, second, rng)),))
