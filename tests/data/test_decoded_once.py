"""Images of a data set are decoded when a row is read, and no more often than that."""

import pickle

import PIL.Image
import pytest
from datasets import concatenate_datasets, load_from_disk

from byorn.data.dataset import to_dataset
from byorn.testing import tiny_rows


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every image that Pillow has opened."""
    seen: list[object] = []
    before = PIL.Image.open
    monkeypatch.setattr(PIL.Image, "open", lambda *given, **named: (seen.append(given), before(*given, **named))[1])
    return seen


@pytest.mark.parametrize("images", [1, 3])
def test_an_image_is_decoded_once(images: int, opened: list[object]) -> None:
    dataset = to_dataset(tiny_rows(4, images=images))
    opened.clear()
    assert len(dataset[0]["images"]) == images == len(opened)
    opened.clear()
    dataset.__getitems__([1, 3])
    assert len(opened) == 2 * images


def test_so_it_is_in_a_part_of_the_data_set_in_another_order_and_in_another_process(opened: list[object]) -> None:
    dataset = to_dataset(tiny_rows(4, images=1))
    for part in (
        dataset.shuffle(seed=1),
        dataset.select([2]).select_columns(["images"]),
        pickle.loads(pickle.dumps(dataset)),
    ):
        opened.clear()
        assert part[0]["images"][0].mode == "RGB"
        assert len(opened) == 1


def test_a_row_that_is_read_twice_has_an_image_of_its_own_each_time() -> None:
    dataset = to_dataset(tiny_rows(1, images=1))
    first, second = dataset[0]["images"][0], dataset[0]["images"][0]
    first.putpixel((0, 0), (1, 2, 3))
    assert first is not second
    assert second.getpixel((0, 0)) != (1, 2, 3)


def test_a_data_set_goes_with_one_that_was_saved(tmp_path) -> None:
    dataset = to_dataset(tiny_rows(2, images=1))
    dataset.save_to_disk(tmp_path)
    saved = load_from_disk(tmp_path)
    for both in ([dataset, saved], [saved, dataset]):
        assert [row["images"][0].mode for row in concatenate_datasets(both)] == ["RGB"] * 4
    assert dataset.features == saved.features
