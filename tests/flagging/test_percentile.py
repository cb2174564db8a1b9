"""The paper's rule on scores that one can check by hand."""

from collections.abc import Sequence

import numpy as np
import pytest

from byorn.errors import ConfigError
from byorn.flagging.percentile import flag_percentile
from byorn.scoring.table import Scores


def scores_of(nll: Sequence[float]) -> Scores:
    """Scores with nothing but the paper's statistic."""
    values = np.array(nll, dtype=float)
    names = [f"row-{place}" for place in range(len(nll))]
    reasons = [None if np.isfinite(value) else "broken image" for value in values]
    return Scores(names, [0] * len(nll), {"nll": values}, np.ones(len(nll), dtype=int), reasons)


def test_the_paper_s_default_flags_the_40_percent_least_plausible_rows() -> None:
    shuffled = np.random.default_rng(0).permutation(1000).astype(float)
    flags = flag_percentile(scores_of(shuffled.tolist()))
    assert flags.threshold == pytest.approx(0.6 * 999)
    assert flags.flagged.sum() == 400
    assert set(shuffled[flags.flagged]) == set(range(600, 1000))
    assert flags.rule == "percentile(p=0.6)"


def test_the_threshold_is_interpolated_and_lies_on_no_side_of_itself() -> None:
    flags = flag_percentile(scores_of([1.0, 2.0, 4.0, 8.0]), 0.5)
    assert (flags.threshold, flags.flagged.tolist()) == (3.0, [False, False, True, True])
    flags = flag_percentile(scores_of([1.0, 2.0, 4.0]), 0.5)
    assert (flags.threshold, flags.flagged.tolist()) == (2.0, [False, False, True])


def test_weights_and_reasons_say_the_same_as_the_flags() -> None:
    flags = flag_percentile(scores_of([1.0, np.nan, 3.0]), 0.5)
    assert flags.weight.tolist() == [0.0, 1.0, 1.0]
    assert flags.reasons == [None, "no score", "above the threshold"]
    assert flags.keys == [("row-0", 0), ("row-1", 0), ("row-2", 0)]


def test_rows_that_tie_with_the_threshold_are_trusted() -> None:
    assert not flag_percentile(scores_of([2.0] * 5), 0.6).flagged.any()
    assert flag_percentile(scores_of([1.0, 2.0, 2.0, 2.0, 3.0]), 0.5).flagged.tolist() == [False] * 4 + [True]


def test_p_0_trusts_the_most_plausible_row_alone_and_p_1_trusts_all_that_have_a_score() -> None:
    scores = scores_of([3.0, 1.0, np.nan, 2.0])
    assert flag_percentile(scores, 0).flagged.tolist() == [True, False, True, True]
    assert flag_percentile(scores, 1).flagged.tolist() == [False, False, True, False]


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_a_row_without_a_score_is_flagged_and_does_not_move_the_threshold(missing: float) -> None:
    with_it = flag_percentile(scores_of([1.0, 2.0, 4.0, missing]), 0.5)
    assert with_it.threshold == flag_percentile(scores_of([1.0, 2.0, 4.0]), 0.5).threshold
    assert with_it.flagged.tolist() == [False, False, True, True]


@pytest.mark.parametrize("p", [-0.01, 1.01, 60, float("nan"), float("inf")])
def test_a_percentile_outside_0_to_1_is_refused(p: float) -> None:
    with pytest.raises(ConfigError, match="not between 0 and 1"):
        flag_percentile(scores_of([1.0]), p)


def test_scores_without_any_number_are_refused_with_the_first_reason() -> None:
    with pytest.raises(ConfigError, match="no row has a score; the first: broken image"):
        flag_percentile(scores_of([np.nan, np.nan]))
    with pytest.raises(ConfigError, match="there are no rows"):
        flag_percentile(scores_of([]))


def test_flags_are_a_pure_function_of_the_scores() -> None:
    scores = scores_of([3.0, 1.0, np.nan, 2.0])
    scores.nll.setflags(write=False)
    once, again = flag_percentile(scores, 0.4), flag_percentile(scores, 0.4)
    np.testing.assert_array_equal(scores.nll, [3.0, 1.0, np.nan, 2.0])
    np.testing.assert_array_equal(once.flagged, again.flagged)
    np.testing.assert_array_equal(once.weight, again.weight)
    assert (once.threshold, once.reasons, once.keys) == (again.threshold, again.reasons, again.keys)


def test_one_row_is_its_own_threshold() -> None:
    assert flag_percentile(scores_of([5.0]), 0.6).flagged.tolist() == [False]
