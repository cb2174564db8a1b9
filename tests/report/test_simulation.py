"""What a simulation says of an attack, in a sentence."""

import numpy as np
import pytest

from byorn.evaluation.canaries import sight
from byorn.report.simulation import Named, Simulated


@pytest.mark.parametrize(
    ("planted", "hits", "said"),
    [
        (1, 1, "too few rows to tell them from the 20.0% of the others"),
        (1, 0, "too few rows to tell them from the 20.0% of the others"),
        (3, 2, "too few rows to tell them from the 20.0% of the others"),
        (20, 4, "no more often than the 20.0% of the others"),
        (20, 0, "no more often than the 20.0% of the others"),
    ],
)
def test_rows_that_are_too_few_to_tell_are_said_to_be(planted, hits, said):
    inside = np.arange(planted + 100) < planted
    flagged = np.concatenate([np.arange(planted) < hits, np.arange(100) < 20])
    seen = sight(np.zeros(len(inside)), flagged, inside)
    attack = Simulated(name="badnets:sentence", sight=seen, named=Named(planted=0, others=0, phrase=""))
    assert attack.seen == "unseen"
    assert f"{hits} of {planted} planted rows are flagged, {said}" in attack.sentence


@pytest.mark.parametrize(("planted", "few"), [(2, True), (4, False)])
def test_an_attack_of_too_few_rows_to_be_found_says_how_to_plant_more(planted, few):
    seen = sight(np.arange(100.0), np.arange(100) >= 90, np.arange(100) < planted)
    attack = Simulated(name="badnets:sentence", sight=seen, named=Named(planted=0, others=0, phrase=""))
    assert attack.seen == "unseen"
    assert attack.sentence.endswith("fewer than 4 rows is not looked at: plant more of them (--rate).") == few
