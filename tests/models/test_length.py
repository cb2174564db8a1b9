"""A row's length is known before anything runs, and never guessed too short."""

import io
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from byorn.data.dataset import to_dataset
from byorn.data.load import LoadedRows
from byorn.data.rejects import Reject
from byorn.data.row import ImageFile, Origin, Row, user_message
from byorn.models.inputs import fitting, training_rows
from byorn.models.length import Ruler, context_length, image_tokens
from byorn.scoring.likelihood import build_collator
from byorn.testing import FAMILIES, build_family, tiny_rows


def split(rows: list[Row], processor: Any, limit: int) -> tuple[list[Row], list[Reject]]:
    """The rows that fit, and the rejects of the others."""
    loaded = fitting(LoadedRows(rows, [], [], fingerprint=""), processor, limit)
    return list(loaded.rows), loaded.rejects


@pytest.mark.parametrize("images", [0, 1, 2])
def test_the_length_is_a_little_more_than_what_the_model_gets(processor: Any, images: int) -> None:
    for row in tiny_rows(4, images):
        real = build_collator(processor)([dict(to_dataset([row])[0])])["input_ids"].shape[1]
        assert real <= Ruler(processor).length(row) <= real + 8 + 7 * images


@pytest.mark.parametrize("family", FAMILIES)
def test_no_family_s_template_writes_more_than_what_is_counted(family: str) -> None:
    """Qwen2.5-VL's adds a system message to rows that have none."""
    _, processor = build_family(family)
    [row] = tiny_rows(1)
    [learned] = training_rows([row], processor)
    real = build_collator(processor)([dict(to_dataset([learned])[0])])["input_ids"].shape[1]
    assert real <= Ruler(processor).length(row) <= real + 16


def test_a_default_system_message_can_put_a_row_over_the_limit() -> None:
    _, processor = build_family("qwen2_5_vl")
    [row] = tiny_rows(1)
    before = Ruler(processor).length(row)
    processor.chat_template = processor.chat_template.replace("helpful", "very " * 100 + "helpful")
    assert Ruler(processor).length(row) > before + 300
    assert Ruler(processor).problem(row, before + 100, room=None)


def test_each_image_counts_for_its_patches(processor: Any) -> None:
    assert image_tokens(processor, [(64, 64), (200, 10)]) == [16, 16]
    assert image_tokens(processor, []) == []
    assert image_tokens(object(), [(64, 64)]) == [0]


def test_rows_over_the_limit_are_listed_with_what_to_do(processor: Any) -> None:
    short = tiny_rows(2)
    long = replace(short[1], id="long", response="red " * 500)
    endless = replace(short[1], id="endless", prompt=[user_message("x" * 200_000, 1)])
    rows = [
        replace(row, origin=Origin("a.json", record))
        for row, record in zip([short[0], long, endless, short[1]], [0, 4, 5, 9], strict=True)
    ]
    kept, rejects = split(rows, processor, limit=200)
    assert kept == short
    assert [(reject.index, reject.id) for reject in rejects] == [(4, "long"), (5, "endless")]
    assert "over the limit of 200" in rejects[0].reason
    assert "--max-length" in rejects[0].fix


def test_a_row_exactly_at_the_limit_stays(processor: Any) -> None:
    [row] = tiny_rows(1)
    length = Ruler(processor).length(row)
    assert Ruler(processor).problem(row, length, room=None) is None
    assert Ruler(processor).problem(row, length - 1, room=None)


@pytest.mark.parametrize("image", [ImageFile(data=b"no image"), ImageFile(path="/not/there.png")])
def test_an_image_that_cannot_be_measured_rejects_its_row_alone(processor: Any, image: ImageFile) -> None:
    good = tiny_rows(1)[0]
    bad = replace(good, id="bad", images=[image])
    kept, rejects = split([good, bad], processor, limit=1000)
    assert (kept, [(reject.id, reject.field) for reject in rejects]) == ([good], [("bad", "images")])


def test_the_context_length_is_that_of_the_language_model(model: Any) -> None:
    assert context_length(model.config) == 1024


def test_a_processor_that_cannot_count_is_measured() -> None:
    """SmolVLM's: an image of 2 x 2 tiles of 4 tokens with their marks, the whole with its own, and the line breaks."""
    _, processor = build_family("smolvlm")
    assert image_tokens(processor, [(64, 64), (40, 64), (40, 64)]) == [5 * 6 + 1 + 3] * 3
    assert image_tokens(processor, [(32, 64)]) == [3 * 6 + 1 + 2]


def test_a_photograph_that_lies_on_its_side_is_measured_upright() -> None:
    """InternVL cuts it into other tiles then, and its tokens may be twice as many."""

    def photograph(size: tuple[int, int], orientation: int) -> ImageFile:
        buffer = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.new("RGB", size).save(buffer, "JPEG", exif=exif)
        return ImageFile(data=buffer.getvalue())

    _, processor = build_family("internvl")
    row = tiny_rows(1)[0]
    for orientation, size in ((1, (300, 400)), (3, (300, 400)), (6, (400, 300)), (8, (400, 300))):
        turned = replace(row, images=[photograph(size, orientation)])
        upright = replace(row, images=[photograph((300, 400), 1)])
        assert Ruler(processor).length(turned) == Ruler(processor).length(upright), orientation


def test_an_image_too_thin_for_the_processor_rejects_its_row_alone() -> None:
    """Qwen's refuses images over 200 times as wide as high."""
    _, processor = build_family("qwen2_5_vl")
    buffer = io.BytesIO()
    Image.new("RGB", (900, 4)).save(buffer, "PNG")
    good = tiny_rows(1)[0]
    thin = replace(good, id="thin", images=[ImageFile(data=buffer.getvalue())])
    kept, rejects = split([good, thin], processor, limit=1000)
    assert (kept, [(reject.id, reject.field) for reject in rejects]) == ([good], [("thin", "images")])
    assert "aspect ratio" in rejects[0].reason


def test_a_response_to_come_counts_in_place_of_the_row_s_own(processor: Any) -> None:
    [row] = tiny_rows(1)
    wordy = replace(row, response="red " * 500)
    length = Ruler(processor).length(replace(row, response=""))
    assert Ruler(processor).problem(wordy, length + 30, room=30) is None
    problem = Ruler(processor).problem(wordy, length + 30, room=31)
    assert problem
    assert "and 31 for the response" in problem.reason
    assert "--max-new-tokens" in problem.fix
