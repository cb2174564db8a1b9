"""What a simulation says of an attack, in a sentence."""

import numpy as np
import pytest

from byorn.evaluation.canaries import sight
from byorn.report.simulation import Named, Simulated


@pytest.mark.parametrize(("planted", "few"), [(2, True), (4, False)])
def test_an_attack_of_too_few_rows_to_be_found_says_how_to_plant_more(planted, few):
    seen = sight(np.arange(100.0), np.arange(100) >= 90, np.arange(100) < planted)
    attack = Simulated(name="badnets:sentence", sight=seen, named=Named(planted=0, others=0, phrase=""))
    assert attack.seen == "unseen"
    assert attack.sentence.endswith("fewer than 4 rows is not looked at: plant more of them (--rate).") == few
