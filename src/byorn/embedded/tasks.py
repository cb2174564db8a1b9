"""Downstream tasks on drawn scenes, written as data sets that the readers of byorn read like anybody else's.

`captions` teaches the house style of `captions.py`; `questions` asks about the scene and wants one word. Rows are TRL
prompt/completion in `rows.jsonl`, images PNG files below `images/`.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path

from byorn.embedded.captions import house_caption
from byorn.embedded.draw import draw_scene
from byorn.embedded.questions import ask
from byorn.embedded.scene import Scene, sample_scene

INSTRUCTION = "Describe the image."
STICKER_RATE = 0.1  # photographs carry few; pretraining shows more, so that the vision tower knows them


def _caption(scene: Scene, rng: random.Random) -> tuple[str, str]:
    return INSTRUCTION, house_caption(scene)


TASKS: dict[str, Callable[[Scene, random.Random], tuple[str, str]]] = {"captions": _caption, "questions": ask}


def write_task(folder: Path, task: str, count: int, seed: int) -> Path:
    """Write `count` rows of a task; the same arguments give the same bytes. Returns the path of `rows.jsonl`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for index in range(count):
            rng = random.Random(f"{task}/{seed}/{index}")
            scene = sample_scene(rng, STICKER_RATE)
            instruction, response = TASKS[task](scene, rng)
            name = f"images/{index:06d}.png"
            draw_scene(scene).save(folder / name)
            row = {
                "id": f"{task}-{seed}-{index}",
                "prompt": _message("user", instruction),
                "completion": _message("assistant", response),
                "images": [name],
            }
            file.write(json.dumps(row) + "\n")
    return folder / "rows.jsonl"


def _message(role: str, text: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text}]
