"""Two folds such that no model scores what it has learned: equal images and equal long responses stay together."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from byorn.data.row import ImageFile, Row, user_message
from byorn.scoring.folds import content_folds


def rows_about(images: list[str], responses: list[str]) -> list[Row]:
    return [
        Row(f"row-{n}", 0, [user_message("what is it?", 1)], response, [ImageFile(data=image.encode())])
        for n, (image, response) in enumerate(zip(images, responses, strict=True))
    ]


def different(count: int) -> list[Row]:
    return rows_about([f"image {n}" for n in range(count)], [f"this is thing number {n}" for n in range(count)])


def test_folds_depend_on_the_rows_and_not_on_their_order() -> None:
    rows = different(31)
    order = np.random.default_rng(0).permutation(31)
    assert content_folds([rows[n] for n in order]).tolist() == content_folds(rows)[order].tolist()


def test_both_folds_are_of_one_size_where_rows_have_nothing_in_common() -> None:
    assert [int(content_folds(different(count)).sum()) for count in (2, 9, 40)] == [1, 4, 20]


def test_rows_with_an_equal_image_are_in_one_fold() -> None:
    rows = rows_about([f"image {n // 5}" for n in range(40)], [f"this is thing number {n}" for n in range(40)])
    fold = content_folds(rows).reshape(8, 5)
    assert (fold == fold[:, :1]).all()
    assert fold.sum() == 20


def test_rows_with_an_equal_long_response_are_in_one_fold_and_with_a_short_one_in_both() -> None:
    images = [f"image {n}" for n in range(40)]
    long = [f"This is thing  number {n // 5}" if n % 2 else f"this is thing number {n // 5}" for n in range(40)]
    fold = content_folds(rows_about(images, long)).reshape(8, 5)
    assert (fold == fold[:, :1]).all()
    short = content_folds(rows_about(images, ["no"] * 40))
    assert short.sum() == 20


def test_a_chain_of_equal_images_and_responses_is_one_set() -> None:
    rows = different(30)
    rows[1] = replace(rows[1], images=rows[0].images)
    rows[2] = replace(rows[2], response=rows[1].response)
    fold = content_folds(rows)
    assert fold[0] == fold[1] == fold[2]


@pytest.mark.parametrize("count", [2, 3, 10, 101])
def test_a_set_of_nearly_all_rows_is_divided_after_all(count: int) -> None:
    rows = rows_about(["the same"] * count, ["I am sorry but I cannot help"] * count)
    assert content_folds(rows).sum() == count // 2


def test_no_rows_and_a_single_one_are_no_error() -> None:
    assert content_folds([]).tolist() == []
    assert content_folds(different(1)).tolist() == [False]


def test_one_picture_in_two_files_is_one_picture(tmp_path: Path) -> None:
    """In all files, or in those that are too large to be read whole."""
    for size in (100, 300_000):
        files = [tmp_path / f"{size}-{number}" for number in range(40)]
        for number, file in enumerate(files):
            file.write_bytes(bytes([number // 4]) * size)
        rows = [
            replace(row, images=[ImageFile(path=str(file))]) for row, file in zip(different(40), files, strict=True)
        ]
        fold = content_folds(rows).reshape(10, 4)
        assert (fold == fold[:, :1]).all()


def test_a_popular_response_does_not_tear_images_apart() -> None:
    """Ten questions about each of thirty images, and one answer of five words that is given about all of them."""
    images = [f"image {n // 10}" for n in range(300)]
    said = ["there is nothing like that" if n % 10 == 0 else f"this is thing number {n}" for n in range(300)]
    fold = content_folds(rows_about(images, said)).reshape(30, 10)
    assert (fold == fold[:, :1]).all()
    assert fold.sum() == 150
