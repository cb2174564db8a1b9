"""A score is what transformers alone says of one row, in every family and in any batch."""

from dataclasses import replace

import numpy as np
from family_rows import nll_through_transformers, picture

from byorn.data.dataset import to_dataset
from byorn.scoring.score import score_dataset


def test_scores_of_a_mixed_batch_equal_the_oracle_of_each_row(family):
    scores = score_dataset(family.model, family.processor, to_dataset(family.rows), batch_size=len(family.rows))
    assert scores.reasons == [None] * len(family.rows)
    expected = [nll_through_transformers(family.model, family.processor, row, family.end) for row in family.rows]
    assert scores.tokens.tolist() == [tokens for _, tokens in expected]
    np.testing.assert_allclose(scores.nll, [nll for nll, _ in expected], atol=1e-4)


def test_each_image_of_a_row_counts(family):
    """Otherwise the test above could not tell a wrong image from the right one."""
    row = next(row for row in family.rows if len(row.images) == max(len(row.images) for row in family.rows))
    changed = [replace(row, id=f"other-{i}", images=_swapped(row.images, i)) for i in range(len(row.images))]
    nll = score_dataset(family.model, family.processor, to_dataset([row, *changed])).nll
    assert (np.abs(nll[1:] - nll[0]) > 1e-3).all()


def _swapped(images, index):
    with images[index].open() as stream:
        from PIL import Image

        size = Image.open(stream).size
    return [*images[:index], picture(99, *size), *images[index + 1 :]]
