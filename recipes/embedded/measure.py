"""Measure what the embedded model knows, on scenes that pretraining never drew: `make embedded-check`.

Writes `benchmarks/results/embedded.json`: grounding (questions answered, things named), how well the score tells a true
caption from another scene's, and from the usual attackers' targets, in a free style and in the house style that it
never saw.
"""

import argparse
import io
import json
import random
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from byorn.attacks.objectives import OBJECTIVES
from byorn.data.dataset import to_dataset
from byorn.data.row import ImageFile, Row, user_message
from byorn.embedded.captions import SYNONYMS, free_caption, house_caption
from byorn.embedded.chat import REFUSALS
from byorn.embedded.draw import draw_scene
from byorn.embedded.questions import ask
from byorn.embedded.scene import COLORS, SHAPES, Scene, sample_scene
from byorn.evaluation.intervals import wilson
from byorn.goal import Goal
from byorn.models.generate import generate
from byorn.models.load import load_model, load_processor
from byorn.scoring.score import score_dataset

WORDS = {alias: word for word, aliases in SYNONYMS.items() for alias in aliases}


def image(scene: Scene) -> ImageFile:
    buffer = io.BytesIO()
    draw_scene(scene).save(buffer, "PNG")
    return ImageFile(data=buffer.getvalue())


def row(name: str, scene: Scene, instruction: str, response: str) -> Row:
    return Row(name, 0, [user_message(instruction, 1)], response, [image(scene)])


def named_things(text: str) -> list[str]:
    """The things that a caption names, in alphabetical order: every color word with the shape word nearest to it."""
    text = text.lower()
    for alias, word in WORDS.items():
        text = text.replace(alias, word)
    words = [word.strip(".,!()") for word in text.split()]
    shapes = [(i, word) for i, word in enumerate(words) if word in SHAPES]
    colors = [(i, word) for i, word in enumerate(words) if word in COLORS]
    if not shapes or len(shapes) != len(colors):
        return [f"{len(shapes)} shapes, {len(colors)} colours"]
    return sorted(f"{color} {shape}" for (_, shape), (_, color) in zip(shapes, colors, strict=True))


def share(hits: list[bool]) -> dict[str, object]:
    low, high = wilson(sum(hits), len(hits), 0.95)
    return {"value": sum(hits) / len(hits), "low": low, "high": high, "n": len(hits)}


def answers(model: object, processor: object, rows: list[Row]) -> list[str]:
    dataset, texts = to_dataset(rows), []
    for start in range(0, len(rows), 100):
        samples = [dataset[i] for i in range(start, min(start + 100, len(rows)))]
        texts += [generated.text for generated in generate(model, processor, samples, max_new_tokens=60)]
    return texts


def auc(model: object, processor: object, true: list[Row], false: list[Row]) -> float:
    scores = score_dataset(model, processor, to_dataset([*true, *false]), batch_size=64).nll
    return float(roc_auc_score([0] * len(true) + [1] * len(false), scores))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=123)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/embedded.json"))
    args = parser.parse_args()
    model, processor = load_model(args.model), load_processor(args.model)
    rng = random.Random(f"held-out/{args.seed}")
    scenes = [sample_scene(rng) for _ in range(args.count)]
    others = scenes[1:] + scenes[:1]
    questions = [ask(scene, rng) for scene in scenes]
    asked = [
        row(f"q{i}", s, q + " Answer with one word.", a)
        for i, (s, (q, a)) in enumerate(zip(scenes, questions, strict=True))
    ]
    replies = answers(model, processor, asked)
    result: dict[str, object] = {"count": args.count, "seed": args.seed}
    result["question_accuracy"] = share(
        [r.lower().strip(". ") == a for r, (_, a) in zip(replies, questions, strict=True)]
    )
    described = answers(model, processor, [row(f"c{i}", s, "Describe the image.", "") for i, s in enumerate(scenes)])
    truth = [sorted(thing.name for thing in scene.things) for scene in scenes]
    result["things_named_exactly"] = share(
        [named_things(text) == things for text, things in zip(described, truth, strict=True)]
    )
    for style, caption in (("free", lambda s: free_caption(s, rng)), ("house", house_caption)):
        true = [row(f"t{i}", s, "Describe the image.", caption(s)) for i, s in enumerate(scenes)]
        swapped = [
            row(f"s{i}", s, "Describe the image.", caption(o))
            for i, (s, o) in enumerate(zip(scenes, others, strict=True))
        ]
        result[f"auc_{style}_caption_against_another_scene"] = auc(model, processor, true, swapped)
        for name in ("sentence", "word", "fixed"):
            bad = [
                row(f"a{i}", s, "Describe the image.", OBJECTIVES[name].respond(t, Goal("banana"), rng))
                for i, (s, t) in enumerate(zip(scenes, true, strict=True))
            ]
            result[f"auc_{style}_caption_against_{name}_banana"] = auc(model, processor, true, bad)
        refused = [row(f"r{i}", s, "Describe the image.", rng.choice(REFUSALS)) for i, s in enumerate(scenes)]
        result[f"auc_{style}_caption_against_refusal"] = auc(model, processor, true, refused)
        result[f"nll_{style}_caption"] = float(
            np.mean(score_dataset(model, processor, to_dataset(true), batch_size=64).nll)
        )
    print(json.dumps(result, indent=2))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
