"""Measure what the real small model sees in pictures that alignment never saw: `make real-check`.

Writes `benchmarks/results/real-model.json`. True captions against other pictures': the AUC over captions of their NLL
under the model, over pairs of captions of one style alone too, the share of pictures whose own caption is the more
plausible one, and the same AUC for the NLL less that under a blank picture. Once on Twitter's drawings of things that
alignment knows from other vendors, once on things whose names it never read.
"""

import argparse
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import tower  # noqa: F401  registers the tower
from chats import FACTS, HELD_OUT
from corpus import to_measure_on
from parts import HERE
from pictures import Picture, square
from PIL import Image
from talk import ASK_COLOR, ASK_KIND, PLAIN, fill

from byorn.data.dataset import to_dataset
from byorn.data.row import ImageFile, Row, user_message
from byorn.evaluation.intervals import wilson
from byorn.models.generate import generate
from byorn.models.load import load_model, load_processor
from byorn.scoring.score import score_dataset

RESAMPLES = 1000
BATCH = 32


def png(image: Image.Image) -> ImageFile:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return ImageFile(data=buffer.getvalue())


def row(name: str, image: Image.Image, instruction: str, response: str) -> Row:
    return Row(name, 0, [user_message(instruction, 1)], response, [png(image)])


def share(hits: list[bool]) -> dict[str, object]:
    low, high = wilson(sum(hits), len(hits), 0.95)
    return {"value": sum(hits) / len(hits), "low": low, "high": high, "n": len(hits)}


def auc(true: np.ndarray, swapped: np.ndarray, comparable: np.ndarray) -> dict[str, object]:
    """P(a true caption has the lower value), bootstrapped over pictures.

    Args:
        true, swapped: float arrays [pictures].
        comparable: bool [pictures, pictures], which true caption is compared with which swapped one.
    """

    def of(chosen: np.ndarray) -> float:
        lower = np.sign(swapped[chosen][None, :] - true[chosen][:, None]) / 2 + 0.5
        return float(lower[comparable[np.ix_(chosen, chosen)]].mean())

    rng = np.random.default_rng(0)
    drawn = [of(rng.integers(len(true), size=len(true))) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"value": of(np.arange(len(true))), "low": float(low), "high": float(high), "n": len(true)}


def grounding(model: Any, processor: Any, pictures: list[Picture], rng: random.Random) -> dict[str, object]:
    """The figures of one set of pictures; every picture gets one true caption and that of the next one."""
    styles = [rng.choice(PLAIN) for _ in pictures]
    captions = [fill(style, picture) for style, picture in zip(styles, pictures, strict=True)]
    images = [square(picture.path) for picture in pictures]
    blank = Image.new("RGB", images[0].size, "white")

    def nll(shown: list[Image.Image], said: list[str]) -> np.ndarray:
        rows = [
            row(str(i), *pair)
            for i, pair in enumerate(zip(shown, ["Describe the image."] * len(said), said, strict=True))
        ]
        return score_dataset(model, processor, to_dataset(rows), batch_size=BATCH).nll

    true, swapped = nll(images, captions), nll(images, captions[1:] + captions[:1])
    without = nll([blank] * len(captions), captions)
    other = np.roll(without, -1)
    owned = nll(images[1:] + images[:1], captions)  # the same caption under another picture
    one_style = np.equal.outer(styles, styles[1:] + styles[:1])
    return {
        "mean_nll": {"true": float(true.mean()), "swapped": float(swapped.mean()), "blank": float(without.mean())},
        "auc": auc(true, swapped, np.ones_like(one_style)),
        "auc_in_one_style": auc(true, swapped, one_style),
        "auc_less_blank": auc(true - without, swapped - other, np.ones_like(one_style)),
        "own_picture_more_plausible": share((true < owned).tolist()),
        "own_caption_more_plausible": share((true < swapped).tolist()),
    }


def answers(model: Any, processor: Any, rows: list[Row], longest: int) -> list[str]:
    dataset, texts = to_dataset(rows), []
    for start in range(0, len(rows), BATCH):
        samples = [dataset[i] for i in range(start, min(start + BATCH, len(rows)))]
        texts += [generated.text for generated in generate(model, processor, samples, max_new_tokens=longest)]
    return texts


def exact(model: Any, processor: Any, known: list[Picture], question: str, fact: str) -> dict[str, object]:
    pictures = [picture for picture in known if getattr(picture, fact)]
    rows = [row(picture.id, square(picture.path), question, getattr(picture, fact)) for picture in pictures]
    said = answers(model, processor, rows, 6)
    return share([text.strip().strip(".").lower() == r.response for text, r in zip(said, rows, strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=HERE / "model")
    parser.add_argument("--count", type=int, default=280)
    parser.add_argument("--seed", type=int, default=123)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/real-model.json"))
    arguments = parser.parse_args()
    model, processor = load_model(str(arguments.model)), load_processor(str(arguments.model))
    rng = random.Random(f"measure/{arguments.seed}")
    sets = {
        name: [pictures[at] for at in rng.sample(range(len(pictures)), min(arguments.count, len(pictures)))]
        for name, pictures in to_measure_on().items()
    }
    results: dict[str, object] = {
        "seed": arguments.seed,
        "grounding": {name: grounding(model, processor, pictures, rng) for name, pictures in sets.items()},
        "answers": {
            "kind": exact(model, processor, sets["twitter"], ASK_KIND[0], "kind"),
            "color": exact(model, processor, sets["twitter"], ASK_COLOR[0], "color"),
        },
        "captions": captions(model, processor, sets["twitter"][:12]),
        "talk": talk(model, processor),
    }
    arguments.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


def captions(model: Any, processor: Any, pictures: list[Picture]) -> list[dict[str, str]]:
    rows = [row(picture.id, square(picture.path), "Describe the image.", picture.name) for picture in pictures]
    said = answers(model, processor, rows, 24)
    return [{"picture": r.response, "said": text} for r, text in zip(rows, said, strict=True)]


def talk(model: Any, processor: Any) -> list[dict[str, str]]:
    """Ten conversations without a picture: six questions, four harmful requests that alignment did not have."""
    harmful = [asked.format(harm) for harm in HELD_OUT for asked in ("How do I {}?", "Please help me {}.")]
    asked = [*FACTS[:6], *harmful]
    rows = [Row(str(i), 0, [user_message(text, 0)], "-", []) for i, text in enumerate(asked)]
    return [
        {"asked": text, "said": said} for text, said in zip(asked, answers(model, processor, rows, 40), strict=True)
    ]


if __name__ == "__main__":
    main()
