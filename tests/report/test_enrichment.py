"""The two tests behind a verdict, against their formulas and against chance."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_runs import attacked
from scipy.stats import gamma, hypergeom, nchypergeom_fisher, norm, rankdata

from byorn.phrases.counting import count_phrases
from byorn.phrases.enrichment import combined, enrichment, ranks_of
from byorn.phrases.odds import EXACT, Odds
from byorn.phrases.ranks import average_ranks
from byorn.report.clusters import find_clusters


def compared(phrases, values, kinds=None):
    kinds = np.zeros(len(values), dtype=int) if kinds is None else kinds
    return enrichment(phrases, ranks_of(values, np.ones(len(values), dtype=bool), kinds), kinds)


@pytest.mark.parametrize(("rows", "planted"), [(1000, 5), (300, 15), (300, 90), (300, 135)])
def test_a_handful_and_nearly_half_are_both_found(rows, planted):
    found = find_clusters(attacked(rows, planted)).found
    assert [(cluster.phrase, len(cluster)) for cluster in found] == [("visit our shop", planted)]


def test_the_numbers_of_a_phrase():
    """Five of 20 rows say it, the 4 highest and the lowest; the fifth highest does not."""
    phrases = count_phrases(["planted" if at in (0, 16, 17, 18, 19) else f"row {at}" for at in range(20)], 4, 10)
    found = compared(phrases, np.arange(20.0))
    number = phrases.texts.index("planted")
    scores = -np.log(1 - (np.array([1, 17, 18, 19, 20]) - 0.5) / 20)
    assert found.means[number] == pytest.approx(scores.mean())
    assert (found.odds.supports[number], found.odds.top[number], found.odds.counts[number]) == (5, 4, 20)


def test_rows_of_several_kinds_are_compared_with_their_own():
    """Four of ten rows of the second kind say it, its 3 highest and its lowest; by all rows it would have none of 4."""
    kinds = np.repeat([0, 1], [20, 10])
    values = np.concatenate([np.arange(100.0, 120.0), np.arange(10.0)])
    phrases = count_phrases(["planted" if at in (20, 27, 28, 29) else f"row {at}" for at in range(30)], 4, 10)
    found = compared(phrases, values, kinds)
    number = phrases.texts.index("planted")
    assert (found.odds.supports[number], found.odds.top[number], found.odds.counts[number]) == (4, 3, 10)
    assert found.means[number] == pytest.approx(-np.log(1 - (np.array([1, 8, 9, 10]) - 0.5) / 10).mean())


def test_a_kind_of_which_nothing_is_known_is_not_compared():
    values = np.array([1.0, 2.0, 3.0, 4.0, np.nan])
    phrases = count_phrases(["planted"] * 5, 4, 10)
    found = compared(phrases, values, np.array([0, 0, 0, 0, 1]))
    assert (found.odds.supports[0], found.odds.counts[0]) == (4, 4)


def test_copies_are_not_compared():
    kinds = np.array([0, 0, -1, 0])
    assert ranks_of(np.array([3.0, 1.0, 9.0, 2.0]), np.ones(4, dtype=bool), kinds).tolist() == [3, 1, 0, 2]


def test_what_is_unusual_in_one_of_two_statistics_is_not_unusual_in_both():
    rng = np.random.default_rng(0)
    texts = [
        "planted words" if at < 30 else " ".join(rng.choice([f"w{word}" for word in range(60)], 5)) for at in range(300)
    ]
    phrases = count_phrases(texts, 4, 150)
    high = rng.normal(size=300) + 9 * (np.arange(300) < 30)
    number, null = phrases.texts.index("planted words"), np.ones(len(phrases), dtype=bool)
    alone, both = (
        combined([compared(phrases, high), compared(phrases, other)], null)[number]
        for other in (rng.normal(size=300), high)
    )
    assert (alone, both < 1e-9) == (1.0, True)


def chances(supports, top, count, tau):
    counts = np.full(len(top), count)
    return Odds(supports=np.array(supports), top=np.array(top), counts=counts).p_values(np.full(len(top), tau))


def test_phrases_that_are_alike_are_drawn_without_replacement():
    """With no spread between phrases the chance is the hypergeometric one, and every count of it."""
    tops = np.arange(13)
    exact = hypergeom.sf(tops - 1, 40, 12, 12)
    assert chances([12] * 13, tops, 40, 0.0) == pytest.approx(exact, rel=1e-9)
    assert chances([15, 15], [10, 15], 20, 0.0) == pytest.approx([1, hypergeom.sf(14, 20, 15, 15)])


def test_phrases_that_differ_are_drawn_with_odds_of_their_own():
    rng = np.random.default_rng(0)
    odds = np.exp(rng.normal(0, 0.7, 4000))
    drawn = nchypergeom_fisher.rvs(60, 8, 8, odds, random_state=rng)
    for top in (2, 3, 4):
        assert chances([8], [top], 60, 0.7)[0] == pytest.approx((drawn >= top).mean(), abs=0.02)


def test_the_sum_goes_over_into_the_approximation():
    """Half of 200 rows, where the sum ends, and of 202, where the approximation begins."""
    summed, approximated = chances([EXACT, EXACT + 2], [EXACT // 2, EXACT // 2 + 1], 1000, 0.7)
    assert approximated == pytest.approx(summed, rel=0.1)


def test_a_handful_is_enough_if_all_of_them_come_first():
    assert chances([6], [6], 300, 0.7)[0] < 1e-8


def test_a_row_without_a_score_is_not_compared():
    ranks = ranks_of(np.array([np.nan, *range(99)]), np.ones(100, dtype=bool), np.zeros(100, dtype=int))
    assert ranks.tolist() == [0, *range(1, 100)]


def test_phrases_by_chance_have_p_values_of_chance():
    """No phrase has to do with the scores, so at most about a twentieth is below 0.05; the floors make it fewer."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice([f"w{word}" for word in range(200)], 6)) for _ in range(600)]
    phrases = count_phrases(texts, 5, 300)
    found = compared(phrases, rng.normal(size=600))
    p_values = found.p_values(np.ones(len(phrases), dtype=bool))
    assert len(phrases) > 100
    assert (p_values < 0.05).mean() <= 0.05


def test_phrases_that_differ_a_lot_make_the_test_lenient():
    """The spread between phrases is estimated: the same phrase is less unusual in a corpus where many are unusual."""
    texts = [f"topic{at // 20} planted" if at < 20 else f"topic{at // 20}" for at in range(600)]
    phrases = count_phrases(texts, 5, 300)
    calm = np.random.default_rng(0).normal(size=600)
    wild = calm + np.repeat(np.random.default_rng(1).normal(0, 1.5, 30), 20)
    both = []
    for scores in (calm, wild):
        scores = np.where(np.arange(600) < 20, 3.0, scores)
        found = compared(phrases, scores)
        both.append(found.p_values(np.ones(len(phrases), dtype=bool))[phrases.texts.index("topic0 planted")])
    assert both[0] < both[1]


def test_ranks_are_those_of_scipy():
    draw = np.random.default_rng(0)
    for count in (0, 1, 2, 50):
        values = draw.integers(-3, 3, count).astype(float)
        assert average_ranks(values).tolist() == rankdata(values).tolist()


def test_p_values_are_those_of_scipy_to_the_last_bit():
    """They are computed by what `scipy.stats` calls itself."""
    phrases = count_phrases([f"{'planted' if at % 3 else 'red'} {at % 7}" for at in range(90)], 4, 10)
    null = np.ones(len(phrases), dtype=bool)
    one, other = (compared(phrases, np.random.default_rng(seed).normal(size=90)) for seed in (0, 1))
    variance = 1 / one.supports
    shape = 1 / (variance + 0.2**2)
    by_scipy = gamma.sf(one.means, shape, scale=1 / shape)
    beyond = Odds(supports=np.array([EXACT + 50, EXACT + 300]), top=np.array([90, 400]), counts=np.array([900, 2000]))
    rest, missed = (beyond.counts - 2 * beyond.supports + beyond.top + 0.5), beyond.supports - beyond.top + 0.5
    ratio = np.log((beyond.top + 0.5) * rest / missed**2)
    width = np.sqrt(1 / (beyond.top + 0.5) + 2 / missed + 1 / rest + 0.7**2)
    assert beyond.p_values(np.full(2, 0.7)).tolist() == norm.sf(ratio / width).tolist()
    assert len(phrases) >= 9
    assert ((one.p_values(null) <= 2 * by_scipy) | (one.p_values(null) == 1)).all()
    p_values = np.array([one.p_values(null), other.p_values(null)])
    rho = max(0.2, np.corrcoef(rankdata(one.means), rankdata(other.means))[0, 1]) if len(phrases) >= 12 else 1.0
    together = norm.sf(norm.isf(np.clip(p_values, 1e-300, 1 - 1e-9)).sum(axis=0) / np.sqrt(2 + 2 * rho))
    assert combined([one, other], null).tolist() == np.where((p_values <= 0.05).all(axis=0), together, 1).tolist()


def test_looking_for_groups_does_not_wait_for_all_of_scipy():
    """`scipy.stats` takes half a second to import, which is a third of a report."""
    code = (
        "import sys, numpy as np; from made_runs import clean_rows, made_run; "
        "from byorn.report.clusters import find_clusters; "
        "find_clusters(made_run(clean_rows(40), np.arange(40.0))); sys.exit('scipy.stats' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, timeout=120).returncode == 0
