"""Rows go to a folder and to TRL and come back as they were."""

import io
from copy import deepcopy

import numpy as np
import pytest
from data_samples import png
from PIL import Image
from trl.data_utils import prepare_multimodal_messages

from byorn.data.dataset import to_dataset
from byorn.data.files import write_rows
from byorn.data.fingerprint import content_digest, fingerprint
from byorn.data.load import load_rows
from byorn.data.row import ImageFile, Row, user_message
from byorn.errors import MismatchError


@pytest.fixture
def rows(save, picture):
    """Text only, one image, two images in two turns, and user columns that are in the way."""
    picture("a.png"), picture("sub/b.png", "blue")
    texts = ["<image>1?", "one", "And <image> this?", "two <image>"]
    messages = [{"role": role, "content": text} for role, text in zip(["user", "assistant"] * 2, texts, strict=True)]
    records = [
        {
            "id": "text",
            "messages": [{"role": "user", "content": "Hi ✓"}, {"role": "assistant", "content": "Ho\u2028!"}],
        },
        {
            "messages": messages,
            "images": ["a.png", "sub/b.png"],
            "prompt": "mine",
            "turn": 9,
            "source": {"web": [1, None]},
        },
    ]
    return load_rows(save(records), turns="all").rows


def test_written_rows_read_back_equal(rows, tmp_path):
    write_rows(rows, tmp_path)
    again = load_rows(tmp_path)
    assert again.rows == rows
    assert again.rows[2].meta["prompt"] == "mine"
    assert (again.rejects, again.fingerprint) == ([], fingerprint(rows))
    assert load_rows(tmp_path, turns="all").rows == rows
    assert '"images": ["a.png", "sub/b.png"]' in (tmp_path / "rows.jsonl").read_text()


def test_a_column_that_says_something_else_is_not_taken_for_a_bad_response(save, tmp_path):
    """In a row of question and answer `label` is a user's column; TRL's form, in which it is written, has its own."""
    [row] = load_rows(save([{"question": "Is it red?", "answer": "No.", "label": False, "kto_tag": False}])).rows
    write_rows([row], tmp_path)
    assert load_rows(tmp_path / "rows.jsonl").rows == [row]


def test_rows_written_elsewhere_need_the_image_root(rows, tmp_path):
    for root in (None, tmp_path):
        write_rows(rows, tmp_path / "out", image_root=root)
        again = load_rows(tmp_path / "out", image_root=tmp_path)
        assert (again.rows, again.fingerprint) == (rows, fingerprint(rows))
    assert not (tmp_path / "out" / "images").exists()


def test_images_without_a_file_are_written_once(tmp_path):
    rows = [Row(str(n), 0, [user_message("Look", 1)], "Red.", [ImageFile(data=png())]) for n in range(2)]
    write_rows(rows, tmp_path / "out")
    again = load_rows(tmp_path / "out").rows
    assert [row.images[0].read() for row in again] == [png(), png()]
    assert len(list((tmp_path / "out" / "images").iterdir())) == 1


def test_an_interrupted_write_leaves_the_old_file(rows, tmp_path):
    write_rows(rows, tmp_path)
    before = (tmp_path / "rows.jsonl").read_bytes()
    broken = Row("x", 0, [], "y", meta={"not json": object()})
    with pytest.raises(TypeError):
        write_rows([rows[0], broken], tmp_path)
    assert (tmp_path / "rows.jsonl").read_bytes() == before


def test_the_fingerprint_sees_order_text_and_images_but_not_meta_nor_place(rows, picture, tmp_path):
    here = fingerprint(rows)
    assert fingerprint(rows) == here
    assert fingerprint(reversed(rows)) != here
    assert fingerprint(rows[:-1]) != here
    assert fingerprint([*rows[:-1], Row(rows[-1].id, 1, rows[-1].prompt, "other", rows[-1].images)]) != here
    bare = [Row(row.id, row.turn, row.prompt, row.response, row.images) for row in rows]
    assert fingerprint(bare) == here
    moved = tmp_path.parent / f"{tmp_path.name}-moved"
    tmp_path.rename(moved)
    assert load_rows(moved / "data.json", turns="all").fingerprint == here
    (moved / "a.png").write_bytes(png("green", (20, 20)))
    assert load_rows(moved / "data.json", turns="all").fingerprint != here


def test_the_content_of_a_row_does_not_depend_on_the_folder_of_its_images(picture, save):
    """A version of a data set with its images beside it, the next with a folder for them: no row has changed."""
    digests = set()
    for place in ("a.png", "images/a.png", "images/deeper/a.png"):
        picture(place)
        [row] = load_rows(save([{"image": place, "question": "?", "answer": "A box."}])).rows
        digests.add(content_digest(row))
    assert len(digests) == 1
    picture("b.png")
    [other] = load_rows(save([{"image": "b.png", "question": "?", "answer": "A box."}])).rows
    assert content_digest(other) not in digests


def test_trl_takes_text_only_one_image_and_two_image_rows(rows):
    dataset = to_dataset(rows, flagged=[False, True, False])
    assert dataset["flagged"][:] == [False, True, False]
    assert [(row["id"], row["turn"]) for row in dataset] == [row.key for row in rows]
    for row, example in zip(rows, dataset, strict=True):
        prompt = prepare_multimodal_messages(deepcopy(example["prompt"]), images=example["images"])
        completion = prepare_multimodal_messages(example["completion"], images=[])
        pictures = [block["image"] for message in prompt for block in message["content"] if block["type"] == "image"]
        assert [picture.getpixel((0, 0)) for picture in pictures] == [(255, 0, 0), (0, 0, 255)][: len(row.images)]
        assert [message["role"] for message in prompt] == [message["role"] for message in row.prompt]
        assert completion == [{"role": "assistant", "content": [{"type": "text", "text": row.response}]}]
    assert [len(example["images"]) for example in dataset] == [0, 1, 2]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "CMYK", "turned"])
def test_training_and_scoring_see_the_same_pixels(mode):
    stream = io.BytesIO()
    noise = Image.effect_noise((16, 8), 90)
    if mode == "turned":
        exif = Image.Exif()
        exif[0x0112] = 8
        noise.save(stream, "JPEG", exif=exif)
    else:
        noise.convert(mode).save(stream, "TIFF" if mode == "CMYK" else "PNG")
    row = Row("x", 0, [user_message("Look", 1)], "Noise.", [ImageFile(data=stream.getvalue())])
    trained = to_dataset([row])[0]["images"][0]
    assert trained.mode == "RGB"
    assert np.array_equal(np.asarray(trained), np.asarray(row.images[0].load()))


def test_flags_must_fit_and_no_rows_are_an_empty_data_set(rows):
    with pytest.raises(MismatchError, match="2 flags for 3 rows"):
        to_dataset(rows, flagged=[True, False])
    assert len(to_dataset([])) == 0
