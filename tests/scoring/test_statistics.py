"""The formulas, on arrays that one can check by hand."""

import numpy as np
import pytest

from byorn.scoring.statistics import STATISTICS, WINDOW, nll, nll_max, nll_window, statistics_of

BY_HAND = np.array([-1.0, -2.0, -6.0, -3.0, -0.5, -0.5])


def test_nll_is_the_mean_over_the_tokens() -> None:
    assert nll(BY_HAND) == pytest.approx(13 / 6)
    assert nll(np.log([0.5, 0.25])) == pytest.approx(1.5 * np.log(2))


def test_nll_max_is_the_least_likely_token() -> None:
    assert nll_max(BY_HAND) == 6.0


def test_nll_window_is_the_worst_four_tokens_in_a_row() -> None:
    assert WINDOW == 4
    assert nll_window(BY_HAND) == pytest.approx((1 + 2 + 6 + 3) / 4)


@pytest.mark.parametrize("length", [1, 2, 4])
def test_nll_window_of_a_short_response_is_its_mean(length: int) -> None:
    assert nll_window(BY_HAND[:length]) == nll(BY_HAND[:length])


def test_nll_window_finds_a_short_unlikely_phrase_in_a_long_likely_response() -> None:
    likely = np.full(100, -0.1)
    poisoned = np.insert(likely, 50, [-7.0, -8.0, -9.0, -8.0])
    assert nll(poisoned) < 0.5
    assert nll_window(poisoned) == pytest.approx(8.0)
    assert nll_window(likely) == pytest.approx(0.1)


def test_every_statistic_is_higher_for_a_less_plausible_response() -> None:
    worse = BY_HAND - 1
    assert all(statistic(worse) == pytest.approx(statistic(BY_HAND) + 1) for statistic in STATISTICS.values())


@pytest.mark.parametrize("values", [[], [-1.0, np.nan], [-np.inf, -1.0], [np.inf]])
def test_no_token_or_no_finite_value_gives_nan_everywhere(values: list[float]) -> None:
    summary = statistics_of(np.array(values))
    assert summary.keys() == STATISTICS.keys()
    assert all(np.isnan(value) for value in summary.values())


def test_the_summary_holds_every_statistic() -> None:
    assert statistics_of(BY_HAND) == {"nll": nll(BY_HAND), "nll_max": 6.0, "nll_window": 3.0}
