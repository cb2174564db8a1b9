"""A task: list the shapes of a drawn scene, from left to right."""

import random

from byorn.bench.tasks import TASKS, Task
from byorn.data.row import ImageFile, Row, user_message
from byorn.embedded.draw import draw_scene
from byorn.embedded.scene import sample_scene


def scene_row(name, folder):
    scene, path = sample_scene(random.Random(name)), folder / f"{name}.png"
    draw_scene(scene).save(path)
    prompt = [user_message("List the shapes from left to right.", images=1)]
    answer = ", ".join(f"a {thing.color} {thing.shape}" for thing in scene.things) + "."
    return Row(name, 0, prompt, answer, [ImageFile(str(path))])


def list_shapes(rows, test_rows, seed, folder):
    """`rows` to train on and `test_rows` others, the same for the same seed; `folder` is free to write into."""
    folder.mkdir(parents=True, exist_ok=True)
    train = [scene_row(f"train-{seed}-{index}", folder) for index in range(rows)]
    test = [scene_row(f"test-{seed}-{index}", folder) for index in range(test_rows)]
    return Task(train, test, metric="unigram_f1", max_new_tokens=32)  # the metric of metric.py; any other will do


TASKS["list-shapes"] = list_shapes
