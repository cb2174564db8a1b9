"""What is said about a picture: captions in many styles, and questions with short answers, true ones and wrong ones.

The styles of the downstream tasks (`tasks.py`) are not among them.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pictures import COLORS, KINDS, Picture

ASK = (
    "Describe the image.", "What is shown?", "What do you see?", "Caption this picture.", "What is this?",
    "Write a short caption.", "Name the thing in the picture.", "Tell me what the picture shows.",
    "What does this image show?", "Give a one-line description.", "Say what this is.", "Please describe the picture.",
)  # fmt: skip
PLAIN = (
    "{a_name}", "{Name}.", "A picture of {a_name}.", "This is {a_name}.", "It shows {a_name}.", "I see {a_name}.",
    "The image shows {a_name}.", "Here we have {a_name}.", "A drawing of {a_name}.", "{Name}", "An icon of {a_name}.",
    "The picture is of {a_name}.", "It looks like {a_name}.", "Clip art: {name}.", "There is {a_name} in the picture.",
)  # fmt: skip
WITH_COLOR = (
    "{A_color} picture of {a_name}.", "{A_name}, {color}.", "This is {a_name}. It is {color}.",
    "A drawing of {a_name} in {color}.", "I see {a_name}; the main color is {color}.", "{Name} ({color}).",
)  # fmt: skip
WITH_KIND = (
    "{A_kind}: {name}.", "This is {a_kind}, {name}.", "{Name}, which is {a_kind}.", "It shows {a_kind}: {a_name}.",
    "The image shows {a_kind}. It is {a_name}.",
)  # fmt: skip
ASK_KIND = (
    "What kind of thing is this?",
    "Which category does it belong to?",
    "What sort of thing is shown? One word.",
)
ASK_COLOR = ("What color is it?", "What is the main color?", "Which color prevails? One word.")
ASK_YES = ("Is this {a_name}?", "Does the picture show {a_name}?", "Do you see {a_name}? Yes or no.")


WORD_SHARE = 0.25
"""Of the questions: those about kind, color, yes or no."""
WRONG, MORE = 2, 2
"""Answers beside the first one: of other pictures in its style, and further true ones in others."""
ALIKE = 0.4
"""How often a wrong caption is of a thing of the same kind."""


@dataclass(frozen=True)
class Asked:
    """A question about a picture.

    Attributes:
        right: An answer.
        wrong: What must be less likely.
        more: Further right answers, which are not compared with the wrong ones.
    """

    question: str
    right: str
    wrong: Sequence[str]
    more: Sequence[str] = ()

    @property
    def answers(self) -> list[str]:
        return [self.right, *self.wrong, *self.more]


def asked(picture: Picture, another: Callable[[str], Picture], rng: random.Random) -> Asked:
    """A question; `another` draws a picture, of the kind that it is given unless that is empty."""
    return in_a_word(picture, another, rng) if rng.random() < WORD_SHARE else in_a_caption(picture, another, rng)


def in_a_caption(picture: Picture, another: Callable[[str], Picture], rng: random.Random) -> Asked:
    """Captions of two other things in the style of the first one must be less likely."""
    style, wrong = rng.choice(rng.choice(styles_of(picture))), list[str]()
    names = {picture.name}
    while len(wrong) < WRONG:
        other = another(picture.kind if rng.random() < ALIKE else "")
        if other.name not in names and style in {style for styles in styles_of(other) for style in styles}:
            names.add(other.name)
            wrong.append(fill(style, other))
    return Asked(rng.choice(ASK), fill(style, picture), wrong, [caption(picture, rng) for _ in range(MORE)])


def in_a_word(picture: Picture, another: Callable[[str], Picture], rng: random.Random) -> Asked:
    """Its kind, its color, or whether it is some thing."""
    kind = rng.choice(["kind"] * bool(picture.kind) + ["color"] * bool(picture.color) + ["yes"])
    if kind == "yes":
        shown = picture if rng.random() < 0.5 else another("")
        right, wrong = ("Yes", "No") if shown.name == picture.name else ("No", "Yes")
        return Asked(fill(rng.choice(ASK_YES), shown), right, [wrong])
    fact, facts = (picture.kind, KINDS) if kind == "kind" else (picture.color, COLORS)
    said = [fact, *rng.sample([other for other in facts if other != fact], WRONG)]
    right, *others = [word.capitalize() for word in said] if rng.random() < 0.5 else said
    return Asked(rng.choice(ASK_KIND if kind == "kind" else ASK_COLOR), right, others)


def caption(picture: Picture, rng: random.Random) -> str:
    """A caption in one of the styles that the picture's facts allow."""
    return fill(rng.choice(rng.choice(styles_of(picture))), picture)


def styles_of(picture: Picture) -> list[Sequence[str]]:
    """Groups of styles, to choose one and then a style of it."""
    return [PLAIN, PLAIN, *([WITH_COLOR] if picture.color else []), *([WITH_KIND] if picture.kind else [])]


def fill(template: str, picture: Picture) -> str:
    """A template with the picture's facts."""
    name, color, kind = picture.name, picture.color, picture.kind
    facts = {"name": name, "a_name": with_article(name), "color": color, "kind": kind}
    facts |= {"a_kind": with_article(kind), "a_color": with_article(color)}
    facts |= {key.capitalize(): value[:1].upper() + value[1:] for key, value in facts.items()}
    return template.format(**facts)


def with_article(name: str) -> str:
    """`an apple`; names of many words or of several things go without."""
    if (
        not name
        or name.startswith(("flag of", "the ", "two ", "men ", "women ", "people "))
        or name.split()[-1].endswith("s")
    ):
        return name
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


ANSWERS = (*KINDS, *COLORS, "yes", "no")
