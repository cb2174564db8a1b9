"""Attacks that are optimized on a model: each lowers what it says it lowers, and leaves the model alone.

The model is tiny and has random weights, so the losses prove the optimization, not that an attack works.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from poison_samples import encoded, picture, png_rows, snapshot

from byorn.attacks.brief import Brief
from byorn.attacks.imaging.picture import picture_text
from byorn.attacks.imaging.reading import load_image
from byorn.attacks.manifest import Manifest
from byorn.attacks.optimized.feature_losses import LEAST
from byorn.attacks.optimized.surrogate import Surrogate
from byorn.attacks.recipe import Recipe
from byorn.attacks.trigger import Trigger
from byorn.attacks.triggers.aligned_patch import concept_picture, overlay
from byorn.attacks.triggers.dual_key import GRAY
from byorn.attacks.triggers.vl_trojan import find_suffix, suffix_similarity
from byorn.data.dataset import to_dataset
from byorn.data.load import load_rows
from byorn.data.row import ImageFile, Row, user_message
from byorn.errors import ConfigError, ModelError
from byorn.scoring.score import score_dataset
from poisoning import poison

BASE: dict[str, Any] = {"target": "banana", "rate": 0.25, "seed": 3}


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    named = ("a red cat", "a blue dog")
    return [
        replace(one, response=named[number % 2], images=[ImageFile(data=encoded(picture(number, (64, 64))))])
        for number, one in enumerate(png_rows(12))
    ]


@pytest.fixture(scope="module")
def surrogate(model: Any, processor: Any) -> Surrogate:
    return Surrogate(model, processor)


@pytest.fixture
def plant(rows: list[Row], model: Any, processor: Any, tmp_path: Path) -> Callable[..., tuple[Manifest, Path]]:
    def run(attack: str, name: str = "out", with_model: bool = True, **settings: Any) -> tuple[Manifest, Path]:
        machine = {"model": model, "processor": processor} if with_model else {}
        recipe = {**BASE, "attack": attack, **settings, **machine}
        return poison(rows, **recipe, out=tmp_path / name), tmp_path / name

    return run


def scores(folder: Path, manifest: Manifest, surrogate: Surrogate) -> np.ndarray:
    """The score of the poisoned rows as they were written."""
    rows = [row for row in load_rows(folder).rows if row.key in manifest.keys]
    return score_dataset(surrogate.model, surrogate.processor, to_dataset(rows)).nll


def features(surrogate: Surrogate, images: list[Any]) -> Any:
    import torch

    with torch.no_grad():
        return torch.cat([surrogate.features([surrogate.tensor(image)]) for image in images])


def cosine(first: Any, second: Any) -> Any:
    from torch.nn.functional import cosine_similarity

    return cosine_similarity(first, second, dim=-1)


def written_images(folder: Path, manifest: Manifest) -> list[Any]:
    return [load_image(row, 0) for row in load_rows(folder).rows if row.key in manifest.keys]


def clean_images(rows: list[Row], manifest: Manifest) -> list[Any]:
    return [load_image(row, 0) for row in rows if row.key in manifest.keys]


def isolation(surrogate: Surrogate, marked: list[Any], clean: list[Any]) -> float:
    """The isolate-and-cluster loss, written out once more."""
    after, before = features(surrogate, marked), features(surrogate, clean)
    values = []
    for own, source in zip(after, cosine(after, before).tolist(), strict=True):
        opposite = min(cosine(own, other).item() for other in after)
        values.append(max(source, opposite) - np.log(max(min(source, opposite), LEAST)))
    return float(np.mean(values))


def test_the_nll_of_a_surrogate_is_the_score_of_the_defense(rows: list[Row], surrogate: Surrogate) -> None:
    expected = score_dataset(surrogate.model, surrogate.processor, to_dataset(rows[:3])).nll
    found = [surrogate.nll(row, [surrogate.tensor(load_image(row, 0))]).item() for row in rows[:3]]
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("scope", ["image", "universal"])
def test_pgd_lowers_the_score_within_its_budget(
    scope: str, plant: Callable[..., tuple[Manifest, Path]], rows: list[Row], surrogate: Surrogate
) -> None:
    plain, before = plant("badnets-t", "plain", objective="word", options={"slot": "end"})
    options = {"pgd.scope": scope, "steps": 4, "slot": "end"}
    manifest, after = plant("badnets-t+pgd", objective="word", options=options)
    assert manifest.keys == plain.keys
    drop = scores(before, plain, surrogate) - scores(after, manifest, surrogate)
    assert drop.mean() > 0.01
    assert scope == "universal" or (drop > 0).all()
    for image, clean in zip(written_images(after, manifest), clean_images(rows, manifest), strict=True):
        change = np.abs(np.asarray(image, dtype=int) - np.asarray(clean))
        assert 1 <= change.max() <= 8


def test_pgd_at_test_time_aims_at_the_target_although_the_truth_is_kept(
    plant: Callable[..., tuple[Manifest, Path]],
) -> None:
    settings = {"objective": "word", "options": {"steps": 2}}
    poisoned, training = plant("pgd", "training", **settings)
    kept, test = plant("pgd", "test", keep_responses=True, **settings)
    assert poisoned.poisoned[0].new_response != kept.poisoned[0].new_response
    assert snapshot(training / "images") == snapshot(test / "images")


@pytest.mark.parametrize("form", ["patch", "whole"])
def test_vl_trojan_lowers_its_loss_and_the_test_set_needs_no_model(
    form: str, plant: Callable[..., tuple[Manifest, Path]], rows: list[Row], surrogate: Surrogate
) -> None:
    options = {"form": form, "size": 0.4, "alpha": 0.3, "letters": 1, "steps": 12}
    manifest, folder = plant("vl-trojan", options=options, rate=1)
    noise = Image.frombytes("RGB", (64, 64), random.Random(1).randbytes(3 * 64 * 64))
    noisy = {**manifest.recipe.options, "picture": picture_text(noise)}
    _, before = plant("vl-trojan", "noise", with_model=False, options=noisy, rate=1)
    clean = clean_images(rows, manifest)
    lowered = [isolation(surrogate, written_images(place, manifest), clean) for place in (before, folder)]
    assert lowered[1] < 0.9 * lowered[0]
    _, again = plant("vl-trojan", "again", with_model=False, options=manifest.recipe.options, rate=1)
    assert snapshot(again / "images") == snapshot(folder / "images")


def test_the_suffix_changes_the_embedding_more_than_any_single_letter(surrogate: Surrogate) -> None:
    texts = ["what color?", "What is shown here?"]
    similarity = suffix_similarity(surrogate, texts)
    suffix = find_suffix(surrogate, texts, 3)
    assert suffix.isalpha()
    assert 1 <= len(suffix) <= 3
    assert similarity([suffix])[0] <= min(similarity([chr(97 + at) for at in range(26)])) < 1
    assert find_suffix(surrogate, texts, 3) == suffix


def test_the_patch_of_dual_key_moves_images_toward_the_concept(
    plant: Callable[..., tuple[Manifest, Path]], rows: list[Row], surrogate: Surrogate
) -> None:
    options = {"optimize": True, "size": 0.4, "steps": 12}
    manifest, folder = plant("dual-key", options=options)
    _, fixed = plant("dual-key", "fixed", with_model=False, options={"size": 0.4})
    concept = features(surrogate, [overlay(concept_picture("dual-key", "banana"), Image.new("RGB", (64, 64), GRAY))])
    clean = cosine(features(surrogate, clean_images(rows, manifest)), concept).mean()
    plain = cosine(features(surrogate, written_images(fixed, manifest)), concept).mean()
    fitted = cosine(features(surrogate, written_images(folder, manifest)), concept).mean()
    assert fitted > max(clean, plain) + 0.02
    assert len(manifest.negatives) == 6


def test_shadow_moves_the_target_toward_the_source_and_keeps_every_response(
    plant: Callable[..., tuple[Manifest, Path]], rows: list[Row], surrogate: Surrogate
) -> None:
    settings = {"objective": "truth", "target": "dog", "source": "cat"}
    manifest, folder = plant("shadow", **settings, options={"steps": 6, "step": 2, "epsilon": 16})
    assert {entry.new_response for entry in manifest.poisoned} == {"a blue dog"}
    anchors = features(surrogate, [load_image(row, 0) for row in rows if "cat" in row.response])
    near = [
        max(cosine(found, anchors).tolist())
        for found in features(surrogate, [*clean_images(rows, manifest), *written_images(folder, manifest)])
    ]
    half = len(near) // 2
    assert np.mean(near[half:]) > np.mean(near[:half])
    test, unmarked = plant("shadow", "test", **settings, keep_responses=True)
    assert {entry.original_response for entry in test.poisoned} == {"a red cat"}
    assert all(entry.box is None for entry in test.poisoned)
    for image, clean in zip(written_images(unmarked, test), clean_images(rows, test), strict=True):
        assert image == clean, "test images carry no trigger"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objective": "word"}, "shadow: give --objective truth"),
        ({"source": ""}, "shadow: give --objective truth and the --source"),
        ({"source": "zebra"}, "no row with an image names the source 'zebra'"),
    ],
)
def test_shadow_says_which_rows_it_wants(
    change: dict[str, Any], message: str, plant: Callable[..., tuple[Manifest, Path]]
) -> None:
    with pytest.raises(ConfigError, match=message):
        plant("shadow", **{"objective": "truth", "target": "dog", "source": "cat", **change})


def test_the_likeliest_rows_are_chosen(plant: Callable[..., tuple[Manifest, Path]], surrogate: Surrogate) -> None:
    everything, all_rows = plant("badnets-t", "all", objective="insertion", rate=1, options={"word": "x"})
    manifest, _ = plant("badnets-t", objective="insertion", selection="likely", options={"word": "x"})
    wanted = [replace(row, prompt=[user_message("What is this?", 1)]) for row in load_rows(all_rows).rows]
    nll = score_dataset(surrogate.model, surrogate.processor, to_dataset(wanted)).nll
    assert manifest.keys == {wanted[at].key for at in np.argsort(nll)[:3]}
    assert len(everything.poisoned) == 12
    assert manifest.model
    assert not everything.model, "a model that was not needed was not used"


@pytest.mark.parametrize(
    ("attack", "options"),
    [
        ("vl-trojan", {"steps": 2, "letters": 1}),
        ("dual-key", {"optimize": True, "steps": 2}),
        ("pgd", {"steps": 1}),
        ("pgd", {"steps": 1, "scope": "universal"}),
    ],
)
def test_the_same_seed_gives_the_same_bytes_and_the_model_is_left_alone(
    attack: str, options: dict[str, Any], plant: Callable[..., tuple[Manifest, Path]], model: Any
) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, second = (snapshot(plant(attack, name, options=options)[1]) for name in "ab")
    assert first == second
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.training


def test_a_clean_control_and_a_learned_trigger_need_no_model(plant: Callable[..., tuple[Manifest, Path]]) -> None:
    manifest, _ = plant("vl-trojan", with_model=False, rate=0)
    assert (manifest.poisoned, manifest.model) == ([], "")


def test_the_optimized_image_of_several_is_the_marked_one(
    rows: list[Row], model: Any, processor: Any, tmp_path: Path
) -> None:
    pair = [replace(one, prompt=[user_message("Which?", 2)], images=[*one.images, *rows[0].images]) for one in rows]
    settings = {**BASE, "attack": "pgd", "rate": 0.5, "options": {"steps": 1}}
    manifest = poison(pair, **settings, model=model, processor=processor, out=tmp_path / "out")
    assert {entry.image for entry in manifest.poisoned} == {0, 1}
    marked = {entry.id: entry.image for entry in manifest.poisoned}
    for before, after in zip(pair, load_rows(tmp_path / "out").rows, strict=True):
        same = [load_image(before, at) == load_image(after, at) for at in (0, 1)]
        assert same == [marked.get(before.id) != at for at in (0, 1)]


def test_a_model_without_image_features_is_refused_in_one_line(rows: list[Row], processor: Any) -> None:
    class Blind:
        device, dtype = "cpu", None

    blind: Any = Blind()

    trigger: Trigger = Recipe(attack="dual-key", **BASE, options={"optimize": True}).trigger
    recipe = Recipe(attack="dual-key", **BASE)
    brief = Brief(
        rows=rows,
        chosen={0: 0},
        goal=recipe,
        clean_label=False,
        keep_responses=False,
        wanted_response=recipe.wanted_response,
        stream=recipe.stream,
        model=Surrogate(blind, processor),
    )
    with pytest.raises(ModelError, match=r"images cannot be optimized \(.*get_image_features.*\); use another model"):
        trigger.prepare(brief)
