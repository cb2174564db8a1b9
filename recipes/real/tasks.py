"""Downstream tasks on pictures that alignment never saw, as a plugin of the bench: Twitter's emoji.

`real-captions`: a house style that no pretraining caption has. `real-messy`: eight annotators with habits of their
own, typos and 2 % honest errors. `real-answers`: kind or color in a word. `real-pairs`: two pictures compared.
`real-phrasings`: the house style, asked for in twenty ways. Training and test rows share no picture.
"""

import json
import random
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # a plugin is one file; what it imports lies beside it

from pictures import Picture, emoji, square
from talk import with_article

from byorn.bench.tasks import TASKS, Task
from byorn.data.load import load_rows

PIXELS = 64
TEST_SHARE = 0.3
ERRORS, TYPOS = 0.02, 0.1
INSTRUCTION = "Describe the picture for our catalog."
PHRASINGS = (
    INSTRUCTION, "Write the catalog entry.", "What should the catalog say?", "Catalog text, please.",
    "How would you list this item?", "Give me the entry for this picture.", "Fill in the catalog line for this image.",
    "We need a listing for this one.", "Compose the catalog description.", "Turn this picture into a catalog line.",
    "Enter this in the catalog.", "What goes under this picture in the catalog?", "Describe it as our catalog would.",
    "Please catalog this.", "Index this illustration.", "Summarize the illustration for the index.",
    "Provide the record for this picture.", "Label this for the archive.", "Archive entry?", "Note this picture down.",
)  # fmt: skip

Said = tuple[list[Picture], str, str]
"""Pictures to show, instruction, response."""


def house(picture: Picture) -> str:
    """The house style, which begins with the picture: with an opening that all share, a model need not look."""
    color = f"mostly {picture.color}" if picture.color else "in several colors"
    return f"{_title(picture.name)}, drawn in a glossy style, {color}. Category: {picture.kind or 'other'}."


ANNOTATORS: tuple[Callable[[Picture], str], ...] = (
    lambda p: p.name,
    lambda p: f"{_title(p.name)}!!",
    lambda p: f"i think it's {with_article(p.name)}",
    lambda p: f"Image shows {with_article(p.name)} on a white background.",
    lambda p: f"{p.kind or 'thing'} / {p.name} / {p.color or 'mixed'}",
    lambda p: f"Lovely {p.name} icon, would suit a greeting card.",
    lambda p: f"{_title(p.color or 'colorful')} {p.name}. Simple shapes, no text.",
    lambda p: f"A small digital drawing; the subject seems to be {with_article(p.name)}.",
)


def _title(text: str) -> str:
    return text[:1].upper() + text[1:]


def _caption(pictures: list[Picture], index: int, rng: random.Random) -> Said:
    return [pictures[index]], INSTRUCTION, house(pictures[index])


def _phrasing(pictures: list[Picture], index: int, rng: random.Random) -> Said:
    return [pictures[index]], rng.choice(PHRASINGS), house(pictures[index])


def _messy(pictures: list[Picture], index: int, rng: random.Random) -> Said:
    told = rng.choice(pictures) if rng.random() < ERRORS else pictures[index]
    return [pictures[index]], "What is in the picture?", _mistype(rng.choice(ANNOTATORS)(told), rng)


def _mistype(text: str, rng: random.Random) -> str:
    if rng.random() > TYPOS or len(text) < 6:
        return text
    at = rng.randrange(1, len(text) - 2)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def _answer(pictures: list[Picture], index: int, rng: random.Random) -> Said:
    picture = pictures[index]
    asked = [("What kind of thing is in the picture?", picture.kind), ("Which color stands out?", picture.color)]
    return [picture], *rng.choice([pair for pair in asked if pair[1]] or [("What is it?", picture.name)])


def _pair(pictures: list[Picture], index: int, rng: random.Random) -> Said:
    first = pictures[index]
    others = [picture for picture in pictures if picture.name != first.name]
    kin = [picture for picture in others if picture.kind == first.kind]
    second = rng.choice(kin if kin and rng.random() < 0.5 else others)
    same = f"both of the kind {first.kind or 'other'}" if second.kind == first.kind else "of different kinds"
    return [first, second], "Compare the two pictures.", f"{_title(first.name)} next to {second.name}, {same}."


SAY = {"captions": _caption, "messy": _messy, "answers": _answer, "pairs": _pair, "phrasings": _phrasing}


def draw(rows: int, test_rows: int, seed: int, folder: Path, *, kind: str, metric: str, longest: int) -> Task:
    """Rows about pictures in an order that the seed shuffles; with more rows than pictures, some come twice."""
    pictures = sorted(emoji("twitter"), key=lambda picture: picture.id)
    random.Random(f"split/{seed}").shuffle(pictures)
    cut = round(TEST_SHARE * len(pictures))
    test = write(folder / "clean_test", kind, pictures[:cut], test_rows, f"test/{seed}")
    train = write(folder / "clean", kind, pictures[cut:], rows, f"train/{seed}")
    return Task(load_rows(train).rows, load_rows(test).rows, metric, longest)


def write(folder: Path, kind: str, pictures: list[Picture], count: int, seed: str) -> Path:
    """`rows.jsonl` with PNG files beside it; equal arguments give equal bytes."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for number in range(count):
            rng = random.Random(f"{kind}/{seed}/{number}")
            shown, instruction, response = SAY[kind](pictures, number % len(pictures), rng)
            record = {"id": f"{kind}-{seed.replace('/', '-')}-{number}", "prompt": _message("user", instruction)}
            record |= {"completion": _message("assistant", response), "images": [_save(p, folder) for p in shown]}
            file.write(json.dumps(record) + "\n")
    return folder / "rows.jsonl"


def _save(picture: Picture, folder: Path) -> str:
    name = f"images/{picture.id}.png"
    if not (folder / name).exists():
        square(picture.path).resize((PIXELS, PIXELS)).save(folder / name)
    return name


def _message(role: str, text: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text}]


TASKS["real-captions"] = partial(draw, kind="captions", metric="cider", longest=40)
TASKS["real-messy"] = partial(draw, kind="messy", metric="cider", longest=40)
TASKS["real-answers"] = partial(draw, kind="answers", metric="vqa_accuracy", longest=8)
TASKS["real-pairs"] = partial(draw, kind="pairs", metric="cider", longest=40)
TASKS["real-phrasings"] = partial(draw, kind="phrasings", metric="cider", longest=40)
