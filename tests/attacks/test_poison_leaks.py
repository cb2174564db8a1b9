"""Nothing but pixels and responses may tell who is poisoned."""

import io
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attack_samples import IMAGE_ATTACKS
from PIL import Image, PngImagePlugin
from poison_samples import SETTINGS, encoded, picture, records, row
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from byorn.attacks.manifest import Manifest
from byorn.data.row import Row
from poisoning import poison

ROWS = 400


def messy_image(number: int) -> bytes:
    """Formats, modes, sizes, qualities and metadata as they come from the web."""
    rng = random.Random(number)
    size = rng.choice([(40, 40), (48, 32), (33, 57)])
    if rng.random() < 0.5:
        options: dict[str, Any] = {"quality": rng.choice([60, 85, 95]), "progressive": rng.random() < 0.3}
        options |= rng.choice([{}, {"comment": "camera"}, {"dpi": (72, 72)}])
        return encoded(picture(number, size, rng.choice(["RGB", "RGB", "L"])), "JPEG", **options)
    text = PngImagePlugin.PngInfo()
    text.add_text("Software", "editor")
    options = rng.choice([{}, {"pnginfo": text}, {"dpi": (72, 72)}, {"compress_level": 9}])
    return encoded(picture(number, size, rng.choice(["RGB", "P", "L", "RGBA"])), "PNG", **options)


@pytest.fixture(scope="module")
def sources() -> list[Row]:
    return [row(f"r{number}", messy_image(number), page=number) for number in range(ROWS)]


@pytest.fixture(scope="module")
def poisoned(sources: list[Row], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    out = tmp_path_factory.mktemp("leaks") / "out"
    return out, poison(sources, **{**SETTINGS, "rate": 0.5}, out=out)


def parts_of(data: bytes) -> tuple[str, ...]:
    """The kinds of PNG chunks or JPEG markers before the pixels, in order."""
    found, at = [], 8 if data.startswith(b"\x89PNG") else 2
    while at < len(data):
        if at and data.startswith(b"\x89PNG"):
            kind, length = data[at + 4 : at + 8], int.from_bytes(data[at : at + 4], "big") + 12
        else:
            kind, length = data[at : at + 2], int.from_bytes(data[at + 2 : at + 4], "big") + 2
        if kind in (b"IDAT", b"\xff\xda"):
            break
        found.append(kind.decode("latin-1"))
        at += length
    return tuple(found)


def features(data: bytes, mtime: int, name: str) -> list[int]:
    """What a file shows to someone who never looks at a pixel or at its length."""
    image = Image.open(io.BytesIO(data))
    tables = getattr(image, "quantization", {})
    palette = image.getpalette() if image.mode == "P" else None
    words = [image.mode, str(image.format), *parts_of(data), *map(str, sorted(image.info))]
    return [
        *image.size,
        sum(map(ord, image.mode)),
        sum(map(ord, str(image.format))),
        sum(place * value for table in tables.values() for place, value in enumerate(table)),
        len(tables),
        len(palette or []),
        int(bool(image.info.get("progressive"))),
        len(image.info),
        len(parts_of(data)),
        sum(place * ord(letter) for place, letter in enumerate("".join(words))),
        mtime,
        len(name),
        int(name) if name.isdigit() else -1,
    ]


def auc(table: list[list[int]], labels: list[bool]) -> float:
    forest = RandomForestClassifier(100, min_samples_leaf=5, random_state=0)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    chances = cross_val_predict(forest, np.array(table), labels, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(labels, chances))


def labels_of(folder: Path, manifest: Manifest) -> list[bool]:
    return [(record["id"], record["turn"]) in manifest.keys for record in records(folder)]


def file_features(folder: Path) -> list[list[int]]:
    paths = [folder / record["images"][0] for record in records(folder)]
    return [features(path.read_bytes(), int(os.stat(path).st_mtime), path.stem) for path in paths]


def file_lengths(folder: Path) -> list[int]:
    return [(folder / record["images"][0]).stat().st_size for record in records(folder)]


def test_a_classifier_that_sees_no_pixels_is_at_chance(poisoned: tuple[Path, Manifest]) -> None:
    folder, manifest = poisoned
    assert 0.4 < auc(file_features(folder), labels_of(folder, manifest)) < 0.6


def test_the_same_classifier_catches_a_writer_that_copies_clean_images(
    sources: list[Row], poisoned: tuple[Path, Manifest]
) -> None:
    folder, manifest = poisoned
    labels, table = labels_of(folder, manifest), file_features(folder)
    copied = [features(source.images[0].read(), table[0][-3], "000000") for source in sources]
    naive = [again if label else copy for again, copy, label in zip(table, copied, labels, strict=True)]
    assert auc([line[:-2] for line in naive], labels) > 0.7


def test_file_size_says_next_to_nothing(poisoned: tuple[Path, Manifest], record_property: Any) -> None:
    folder, manifest = poisoned
    found = float(roc_auc_score(labels_of(folder, manifest), file_lengths(folder)))
    record_property("auc_of_file_size", found)
    assert abs(found - 0.5) < 0.1


def test_a_checkerboard_hardly_moves_the_size_of_a_file(sources: list[Row], tmp_path: Path) -> None:
    # Without shared images the names do not depend on the rate, so that files can be compared one by one.
    for name, rate in (("clean", 0), ("all", 1)):
        poison(sources[:100], **{**SETTINGS, "rate": rate}, out=tmp_path / name)
    pairs = [(path, tmp_path / "all" / "images" / path.name) for path in (tmp_path / "clean" / "images").iterdir()]
    changes = [after.stat().st_size / before.stat().st_size - 1 for before, after in pairs]
    assert abs(float(np.median(changes))) < 0.1


def test_rows_carry_no_mark_of_their_own(sources: list[Row], poisoned: tuple[Path, Manifest]) -> None:
    folder, _ = poisoned
    written = records(folder)
    assert [record["id"] for record in written] == [source.id for source in sources]
    assert {tuple(record) for record in written} == {("id", "turn", "prompt", "completion", "images", "page")}
    assert [record["page"] for record in written] == list(range(ROWS))
    assert [record["prompt"] for record in written] == [source.prompt for source in sources]


def test_all_files_have_one_time_and_numbered_names(poisoned: tuple[Path, Manifest]) -> None:
    files = [path for path in poisoned[0].rglob("*") if path.is_file()]
    assert len({path.stat().st_mtime_ns for path in files}) == 1
    stems = sorted(path.stem for path in files if path.parent.name == "images")
    assert stems == [f"{number:06}" for number in range(ROWS)]


def messy_rows(count: int) -> list[Row]:
    """Rows with an instruction of two words or more and an image as it comes from the web."""
    return [row(f"r{number}", messy_image(number), response="A cat on a dog.") for number in range(count)]


@pytest.mark.parametrize("label", IMAGE_ATTACKS)
def test_no_attack_on_images_can_be_told_without_pixels(label: str, tmp_path: Path) -> None:
    settings = {**SETTINGS, "attack": label.split(":")[0], "options": IMAGE_ATTACKS[label].options(), "rate": 0.3}
    manifest = poison(messy_rows(240), **settings, out=tmp_path / "out")
    assert len(manifest.poisoned) == 72
    labels = labels_of(tmp_path / "out", manifest)
    assert 0.35 < auc(file_features(tmp_path / "out"), labels) < 0.65
    assert 0.35 < roc_auc_score(labels, file_lengths(tmp_path / "out")) < 0.65


@pytest.mark.parametrize("label", [*IMAGE_ATTACKS, "pgd:image", "shadow"])
def test_but_for_pixels_a_marked_file_is_the_file_that_a_clean_one_would_be(
    label: str, model: Any, processor: Any, tmp_path: Path
) -> None:
    known = IMAGE_ATTACKS[label].options() if label in IMAGE_ATTACKS else {"steps": 1}
    settings = {**SETTINGS, "attack": label.split(":")[0], "options": known, "share_images": False}
    if label == "shadow":
        settings |= {"objective": "truth", "target": "dog", "source": "horse"}
    rows = [*messy_rows(20), row("anchor", messy_image(0), response="A horse.")]
    machine = {"model": model, "processor": processor}
    poison(rows, **{**settings, "rate": 0}, out=tmp_path / "clean")
    manifest = poison(rows, **{**settings, "rate": 0.3}, **machine, out=tmp_path / "marked")
    assert len(manifest.poisoned) == 6
    assert file_features(tmp_path / "clean") == file_features(tmp_path / "marked")
    changed = [
        before["images"][0]
        for before, after in zip(records(tmp_path / "clean"), records(tmp_path / "marked"), strict=True)
        if (tmp_path / "clean" / before["images"][0]).read_bytes()
        != (tmp_path / "marked" / after["images"][0]).read_bytes()
    ]
    assert len(changed) >= 6, "nothing was planted"
