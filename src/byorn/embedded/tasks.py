"""Downstream tasks on drawn scenes, written as data sets that the readers of byorn read like anybody else's.

`captions` teaches the house style of `captions.py`; `messy` has captions by eight annotators; `questions` asks about
the scene and wants one word; `differences` shows two pictures and asks what changed, in the always same words. Rows are
TRL prompt/completion in `rows.jsonl`, images PNG files below `images/`.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

from byorn.embedded.captions import house_caption, house_difference
from byorn.embedded.draw import draw_scene
from byorn.embedded.messy import messy_caption
from byorn.embedded.questions import ask
from byorn.embedded.scene import Scene, change_one, sample_scene

INSTRUCTION = "Describe the image."
COMPARISON = "Compare the images."
STICKER_RATE = 0.1  # photographs carry few; pretraining shows more, so that the vision tower knows them

Drawn = tuple[list[Scene], str, str]
"""Scenes to show, instruction, response."""


def _caption(scene: Scene, rng: random.Random) -> Drawn:
    return [scene], INSTRUCTION, house_caption(scene)


def _messy(scene: Scene, rng: random.Random) -> Drawn:
    return [scene], INSTRUCTION, messy_caption(scene, rng)


def _question(scene: Scene, rng: random.Random) -> Drawn:
    return [scene], *ask(scene, rng)


def _difference(scene: Scene, rng: random.Random) -> Drawn:
    changed = change_one(scene, rng)
    return [scene, changed], COMPARISON, house_difference(scene, changed)


TASKS: dict[str, Callable[[Scene, random.Random], Drawn]] = {
    "captions": _caption,
    "messy": _messy,
    "questions": _question,
    "differences": _difference,
}


def write_task(folder: Path, task: str, count: int, seed: int) -> Path:
    """Write `count` rows of a task; the same arguments give the same bytes. Returns the path of `rows.jsonl`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for index in range(count):
            rng = random.Random(f"{task}/{seed}/{index}")
            scenes, instruction, response = TASKS[task](sample_scene(rng, STICKER_RATE), rng)
            names = _draw(scenes, folder, index)
            row = {
                "id": f"{task}-{seed}-{index}",
                "prompt": _message("user", instruction),
                "completion": _message("assistant", response),
                "images": names,
            }
            file.write(json.dumps(row) + "\n")
    return folder / "rows.jsonl"


def _draw(scenes: list[Scene], folder: Path, index: int) -> list[str]:
    names = [f"images/{index:06d}{'-' + str(at) if at else ''}.png" for at in range(len(scenes))]
    for name, scene in zip(names, scenes, strict=True):
        draw_scene(scene).save(folder / name)
    return names


def _message(role: str, text: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text}]
