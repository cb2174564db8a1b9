"""The order of rows: homogeneous groups, evenly spread, a pure function of seed and epoch."""

from collections import Counter
from itertools import accumulate
from types import SimpleNamespace
from typing import Any

import pytest

from byorn.training.sampler import EpochCallback, GroupedSampler

KINDS = {
    "forty percent": [index % 5 in (1, 3) for index in range(100)],
    "rare": [index == 17 for index in range(50)],
    "all": [True] * 20,
    "none": [False] * 20,
    "one row of each kind": [True, False],
}


def groups(sampler):
    order = list(sampler)
    return [order[start : start + sampler.group] for start in range(0, len(order), sampler.group)]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("group", [1, 4, 7])
def test_an_epoch_holds_every_row_in_groups_of_one_kind(name, group):
    flagged = KINDS[name]
    sampler = GroupedSampler(flagged, group, seed=3)
    order = list(sampler)
    assert set(order) == set(range(len(flagged)))
    assert len(order) == len(sampler) == sum(sampler.steps) * group
    assert all(len({flagged[index] for index in rows}) == 1 for rows in groups(sampler))


@pytest.mark.parametrize("most", [0.1, 0.2, 0.25, 0.5])
@pytest.mark.parametrize(("clean", "flagged"), [(60, 40), (10, 90), (97, 3), (1, 1)])
def test_flagged_rows_take_no_more_than_their_share_of_the_steps(clean, flagged, most):
    sampler = GroupedSampler([True] * flagged + [False] * clean, 2, seed=0, most=most)
    epoch = [{row < flagged for row in rows} for rows in groups(sampler)]
    steps = -(-clean // 2), epoch.count({True})
    assert epoch.count({False}) == steps[0]
    assert 1 <= steps[1] <= max(1, most * len(epoch))
    assert steps[1] == -(-flagged // 2) or steps[1] + 1 > most * (len(epoch) + 1)  # and no fewer
    assert sampler.steps == steps
    assert len(list(sampler)) == len(sampler)
    assert set(sampler) >= set(range(flagged, flagged + clean))


def test_flagged_rows_that_an_epoch_leaves_out_come_in_the_next_ones():
    sampler, seen = GroupedSampler([index < 20 for index in range(40)], 2, seed=0, most=0.25), set()
    for epoch in range(4):
        sampler.set_epoch(epoch)
        drawn = [row for row in sampler if row < 20]
        assert len(drawn) == len(set(drawn)) == 6
        seen |= set(drawn)
        assert len(seen) == min(20, 6 * (epoch + 1))


def test_where_all_rows_are_flagged_all_are_visited():
    assert set(GroupedSampler([True] * 10, 2, seed=0, most=0.25)) == set(range(10))


def test_rows_of_a_well_filled_kind_come_at_most_twice():
    visits = Counter(GroupedSampler(KINDS["forty percent"], 7, seed=0))
    assert set(visits.values()) <= {1, 2}


@pytest.mark.parametrize(("clean", "flagged"), [(60, 40), (99, 1), (10, 90), (50, 50), (7, 13), (97, 3), (1, 1)])
def test_flagged_steps_are_spread_evenly(clean, flagged):
    """After any number of steps the share of flagged ones is right to within one step."""
    sampler = GroupedSampler([True] * flagged + [False] * clean, 1, seed=0)
    done = accumulate(int(index < flagged) for index in sampler)
    assert all(abs(count - steps * flagged / (clean + flagged)) <= 1 for steps, count in enumerate(done, start=1))


def test_the_order_is_a_pure_function_of_seed_and_epoch():
    first, second = (GroupedSampler(KINDS["forty percent"], 4, seed=1) for _ in range(2))
    assert list(first) == list(first) == list(second)
    first.set_epoch(5)
    assert list(first) != list(second)
    second.set_epoch(5)
    assert list(first) == list(second)
    assert list(first) != list(GroupedSampler(KINDS["forty percent"], 4, seed=2))


def test_different_rows_are_repeated_in_different_epochs():
    sampler, repeated = GroupedSampler([True] * 10, 8, seed=0), []
    for epoch in range(8):
        sampler.set_epoch(epoch)
        repeated.append(frozenset(row for row, visits in Counter(sampler).items() if visits > 1))
    assert len(set(repeated)) > 4


def test_the_callback_tells_the_sampler_its_epoch_after_a_resume():
    sampler = GroupedSampler(KINDS["forty percent"], 4, seed=1)
    for at, epoch in ((None, 0), (0, 0), (1.0, 1), (2.75, 2)):
        callback: Any = EpochCallback(sampler)
        callback.on_epoch_begin(None, SimpleNamespace(epoch=at), None)
        assert sampler.epoch == epoch
