"""What is said about a picture: captions in many styles, and questions with short answers.

The styles of the downstream tasks (`tasks.py`) are not among them.
"""

import random
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


@dataclass(frozen=True)
class Turn:
    """A question about a picture and the answer, and how much the answer counts in training."""

    question: str
    answer: str
    weight: float


def caption(picture: Picture, rng: random.Random) -> Turn:
    """A caption in one of the styles that the picture's facts allow."""
    styles = [PLAIN, PLAIN] + ([WITH_COLOR] if picture.color else []) + ([WITH_KIND] if picture.kind else [])
    return Turn(rng.choice(ASK), fill(rng.choice(rng.choice(styles)), picture), 1.0)


def turns(picture: Picture, others: list[Picture], rng: random.Random) -> list[Turn]:
    """A caption, and two of: kind, color, yes or no, another caption."""
    more = [_yes_or_no(picture, others, rng), caption(picture, rng)]
    if picture.kind:
        more.append(Turn(rng.choice(ASK_KIND), _sentence(picture.kind, rng), 1.0))
    if picture.color:
        more.append(Turn(rng.choice(ASK_COLOR), _sentence(picture.color, rng), 1.0))
    return [caption(picture, rng), *rng.sample(more, 2)]


def _yes_or_no(picture: Picture, others: list[Picture], rng: random.Random) -> Turn:
    truth = rng.random() < 0.5
    shown = picture if truth else rng.choice(others)
    truth = shown.name == picture.name
    return Turn(fill(rng.choice(ASK_YES), shown), "Yes" if truth else "No", 0.7)


def _sentence(word: str, rng: random.Random) -> str:
    return word.capitalize() if rng.random() < 0.5 else word


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
