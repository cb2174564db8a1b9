"""The drawn world: deterministic, varied, true to its own labels, and without the style that it is tested on."""

import hashlib
import random
import re

import numpy as np

from byorn.data.load import load_rows
from byorn.embedded import corpus
from byorn.embedded.captions import free_caption, house_caption
from byorn.embedded.draw import draw_scene, patch_owners
from byorn.embedded.questions import ask, vocabulary
from byorn.embedded.scene import COLORS, Scene, Thing, change_one, sample_scene
from byorn.embedded.tasks import write_task


def scenes(count: int, seed: int = 0) -> list[Scene]:
    rng = random.Random(seed)
    return [sample_scene(rng) for _ in range(count)]


def test_the_corpus_is_a_pure_function_of_seed_and_index():
    assert corpus.sample(3, 1000) == corpus.sample(3, 1000)
    assert corpus.sample(3, 1000) != corpus.sample(4, 1000)
    assert len({repr(corpus.sample(0, i)) for i in range(500)}) > 490


def test_a_scene_looks_the_same_every_time_and_unlike_another():
    first, second = scenes(2)
    assert draw_scene(first).tobytes() == draw_scene(first).tobytes()
    assert draw_scene(first).tobytes() != draw_scene(second).tobytes()


def test_things_are_told_apart_by_name_and_run_from_left_to_right():
    for scene in scenes(300):
        names = [thing.name for thing in scene.things]
        assert len(set(names)) == len(names)
        assert [thing.x for thing in scene.things] == sorted(thing.x for thing in scene.things)


def test_a_thing_has_its_color_where_it_is_said_to_be():
    thing = Thing("circle", "red", 0.5, 0.5, 0.25, 0.0)
    scene = Scene((thing,), "mint", "plain", None, noise=5)
    pixel = np.asarray(draw_scene(scene), dtype=float)[32, 32]
    assert np.abs(pixel - COLORS["red"]).max() < 80
    owners = patch_owners(scene, 64, 16).reshape(4, 4)
    assert (owners[1:3, 1:3] == 0).all()
    assert owners[0, 0] == -1


def test_the_house_style_never_comes_up_in_pretraining():
    style = re.compile(r"^(small|large) \w+ \w+(, then (small|large) \w+ \w+)*, all on \w+\.$", re.IGNORECASE)
    assert all(style.match(house_caption(scene)) for scene in scenes(50))
    read = [text for i in range(20_000) for turn in corpus.sample(0, i).turns for text in turn]
    assert not [text for text in read if style.match(text)]


def test_pretraining_reads_many_styles_and_the_words_that_attackers_use():
    rng = random.Random(0)
    captions = {free_caption(scene, rng) for scene in scenes(1000)}
    assert len({caption.split()[0].lower() for caption in captions}) > 15
    read = " ".join(text for i in range(20_000) for turn in corpus.sample(0, i).turns for text in turn).lower()
    for word in ("banana", "sorry", "visit our", "the image depicts"):
        assert word in read


def test_no_scene_is_ever_said_to_show_a_banana_or_its_like():
    rng = random.Random(1)
    said = " ".join(free_caption(scene, rng) + " ".join(ask(scene, rng)) for scene in scenes(2000))
    assert "banana" not in said.lower()


def test_answers_come_from_the_vocabulary_and_yes_is_not_favored():
    rng = random.Random(2)
    answers = [ask(scene, rng)[1] for scene in scenes(3000)]
    assert set(answers) <= set(vocabulary())
    yes, no = answers.count("yes"), answers.count("no")
    assert 0.75 < yes / no < 1.2


def test_a_changed_scene_differs_in_one_color():
    rng = random.Random(3)
    for scene in scenes(100):
        changed = change_one(scene, rng)
        differing = [(a, b) for a, b in zip(scene.things, changed.things, strict=True) if a != b]
        assert len(differing) == 1
        assert differing[0][0].shape == differing[0][1].shape


def test_a_task_is_a_data_set_that_byorn_reads_and_the_same_bytes_every_time(tmp_path):
    digests = []
    for name in ("one", "two"):
        write_task(tmp_path / name, "captions", 12, seed=4)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in files])
    assert digests[0] == digests[1]
    loaded = load_rows(tmp_path / "one" / "rows.jsonl")
    assert len(loaded.rows) == 12
    assert not loaded.rejects
    assert all(row.response.startswith(("Small ", "Large ")) and len(row.images) == 1 for row in loaded.rows)
