"""Two folds such that no model scores what it has learned: equal images and equal long responses stay together."""

from dataclasses import replace

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
