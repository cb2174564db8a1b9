"""How planted rows stand among the others."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from byorn.errors import DataError
from byorn.evaluation.canaries import placements, sight


def test_the_auc_is_the_mean_placement_with_ties_and_missing_scores():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, 200).astype(float)
    scores[::17] = np.nan
    planted = rng.random(200) < 0.2
    found = sight(scores, scores > 3, planted)
    assert found.auc == pytest.approx(roc_auc_score(planted, np.nan_to_num(scores, nan=99)))
    assert len(found.percentiles) == planted.sum()


def test_a_place_is_the_share_of_the_others_below():
    assert placements(np.array([0.0, 2.0, 9.0, np.nan]), np.array([1.0, 2.0, 3.0, 4.0])).tolist() == [0, 0.375, 1, 1]


def test_rows_that_are_flagged_no_more_than_others_are_so_by_chance():
    planted = np.arange(100) < 10
    values = np.tile(np.arange(10.0), 10)
    same = sight(values, values > 5, planted)
    assert same.by_chance
    assert same.auc == pytest.approx(0.5)
    assert same.auc_interval[0] < 0.5 < same.auc_interval[1]
    above = sight(values + 100 * planted, values + 100 * planted > 50, planted)
    assert not above.by_chance
    assert (above.flagged.hits, above.false_flags.hits, above.median) == (10, 0, 100)
    assert above.auc_interval[0] < 0.8  # ten rows prove no certainty


@pytest.mark.parametrize("planted", [np.zeros(4, bool), np.ones(4, bool)])
def test_both_kinds_are_needed(planted):
    with pytest.raises(DataError, match="both kinds"):
        sight(np.zeros(4), np.zeros(4, bool), planted)
