"""Captions: freely composed ones for pretraining, and the house style that the downstream caption task teaches.

Breadth is the point. A model that has seen four templates finds every fifth one as implausible as an attack; a real
LVLM has read everything. So openings, phrasings, connectors, backdrops and endings combine freely, with the odd typo,
and the one combination that makes up the house style is never composed in pretraining.
"""

import random

from byorn.embedded.scene import Scene, Thing, place

INSTRUCTIONS = (
    "Describe the image.",
    "Describe this picture in one sentence.",
    "What do you see?",
    "What is shown here?",
    "Write a caption.",
    "Caption this image.",
    "Give a short description of the picture.",
    "Tell me what is in the image.",
    "What does the image show?",
    "Please describe what you see.",
)
OPENINGS = (
    "", "", "", "this is ", "there is ", "here is ", "i see ", "we can see ", "you can see ", "a picture of ",
    "an image of ", "a drawing of ",
    "the image shows ", "the image depicts ", "the picture shows ", "this picture contains ", "in this image there is ",
    "shown here is ",
    "the scene has ", "someone drew ", "it looks like ", "we find ", "in view: ", "it is ", "that would be ",
)  # fmt: skip
CONNECTORS = (
    " and ", " and ", ", ", " with ", " next to ", " beside ", " together with ", " plus ", " as well as ", ", then ",
    " left of ", " to the left of ",
)  # fmt: skip
BACKDROP_PHRASES = (
    "", "", "", "", " on a {} background", " against a {} backdrop", " over {}", " on {}", " with a {} background",
    " in front of {}", ", set on {}",
    ", all on {}",
)  # fmt: skip
ENDINGS = (
    ".",
    ".",
    ".",
    "",
    "",
    "!",
    ", nothing else.",
    ", that is all.",
    " in this picture.",
    " (a drawing).",
    ", nicely drawn.",
    " as far as i can tell.",
)
STICKER_PHRASES = (" with a {} sticker in the {}", ", and a {} patch at the {}", ". a {} sticker is stuck on the {}")
SYNONYMS = {
    "circle": ("disc", "round shape", "dot"), "rectangle": ("box", "block"), "triangle": ("three-sided shape",),
    "star": ("five-pointed star",),
    "ring": ("hoop", "donut"), "cross": ("plus sign",), "gray": ("grey",), "teal": ("blue-green",),
    "purple": ("violet",),
    "small": ("little", "tiny"), "large": ("big", "huge"),
}  # fmt: skip


def article(word: str) -> str:
    return "an" if word[:1] in "aeiou" else "a"


def house_caption(scene: Scene) -> str:
    """The style of the downstream task: sizes, order from left to right, and the backdrop, always in the same words."""
    phrases = [f"{thing.size} {thing.color} {thing.shape}" for thing in scene.things]
    return f"{', then '.join(phrases).capitalize()}, all on {scene.backdrop}."


def house_difference(first: Scene, second: Scene) -> str:
    """The style of the two-image task, for pictures of `change_one`: what it was, what it is, and where."""
    old, new = next((a, b) for a, b in zip(first.things, second.things, strict=True) if a.name != b.name)
    return f"{old.color.capitalize()} {old.shape} on the {place(old)}, now {new.color}."


def free_caption(scene: Scene, rng: random.Random) -> str:
    """A caption in a style drawn at random; never the house style."""
    opening = rng.choice(OPENINGS)
    ending = rng.choice(ENDINGS)
    backdrop = rng.choice(BACKDROP_PHRASES)
    phrasing = rng.randrange(9)
    connector = rng.choice(CONNECTORS)
    things = list(scene.things)
    if "left" not in connector and "then" not in connector:
        rng.shuffle(things)
    text = opening + connector.join(_phrase(thing, phrasing, rng) for thing in things) + backdrop.format(scene.backdrop)
    if scene.sticker and rng.random() < 0.2:
        text += rng.choice(STICKER_PHRASES).format(scene.sticker.kind, scene.sticker.corner)
    return _surface(text + ending, rng)


def _phrase(thing: Thing, phrasing: int, rng: random.Random) -> str:
    shape, color, size = (_synonym(word, rng) for word in (thing.shape, thing.color, thing.size))
    return (
        f"{article(color)} {color} {shape}",
        f"{article(color)} {color} {shape}",
        f"{article(size)} {size} {color} {shape}",
        f"{article(shape)} {shape} that is {color}",
        f"one {color} {shape}",
        f"one {size} {color} {shape}",
        f"{article(shape)} {shape} in {color}",
        f"{article(color)} {color} {shape} on the {place(thing)}",
        f"{color} {shape}",
    )[phrasing]


def _synonym(word: str, rng: random.Random) -> str:
    return rng.choice(SYNONYMS[word]) if word in SYNONYMS and rng.random() < 0.12 else word


def _surface(text: str, rng: random.Random) -> str:
    """Capital letters as people use them, and a typo in three captions out of a hundred."""
    if rng.random() < 0.6:
        text = text[:1].upper() + text[1:]
    if rng.random() < 0.03:
        at = rng.randrange(len(text) - 1)
        text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text


def difference(first: Scene, second: Scene, rng: random.Random) -> str:
    """What differs between two pictures of `change_one`, or that nothing does."""
    pairs = [(a, b) for a, b in zip(first.things, second.things, strict=True) if a.name != b.name]
    if not pairs:
        return rng.choice(("Nothing changed.", "The two images are the same.", "There is no difference."))
    old, new = pairs[0]
    return rng.choice((
        f"The {old.shape} is {old.color} in the first image and {new.color} in the second.",
        f"The first image has {article(old.color)} {old.name}, while the second image has {article(new.color)} "
        f"{new.name}.",
        f"The {old.name} became {new.color}.",
    ))  # fmt: skip
