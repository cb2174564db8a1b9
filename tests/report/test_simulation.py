"""What a simulation says of an attack, in a sentence."""

import json
from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np
import pytest
from made_runs import attacked

from byorn.attacks.known import known_attacks
from byorn.evaluation.canaries import sight
from byorn.pipeline import canaries
from byorn.pipeline.lab import Lab, Planted
from byorn.report.simulation import Named, Simulated, Simulation, identity_of
from byorn.report.simulation_shown import show_simulation


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


def test_what_the_data_say_already_is_said_to_be_there_and_not_to_stay_hidden(tmp_path):
    run = attacked(planted=30)  # of which eight are planted now
    attack = known_attacks(["badnets-t:fixed:visit our shop"], rate=0.04, seed=0)[0]
    poisoned = run.rows[:8]
    manifest: Any = SimpleNamespace(keys={row.key for row in poisoned}, poisoned=poisoned)
    scanned: Any = SimpleNamespace(rows=run.rows)
    unused: Any = None
    lab = Lab(scanned=scanned, rule=unused, data=unused, model=unused, out=tmp_path)
    found = canaries.seen(lab, Planted(attack=attack, folder=tmp_path, manifest=manifest, rows=[*run.rows]), run)
    assert (found.seen, found.hidden) == ("already there", False)
    assert "8 of 8 planted rows are flagged, and 8 of them are in a group with 22 rows of the data" in found.sentence
    assert "by “visit our shop”: the data say that already" in found.sentence
    scan = identity_of(run.scores, run.flags)
    simulation = Simulation(scan=scan, rows=len(run.rows), rate=0.04, seed=0, attacks=[found])
    schema = json.loads(files("byorn.report").joinpath("simulation.schema.json").read_text())
    jsonschema.validate(json.loads(json.dumps(simulation.as_dict())), schema)
    assert [one.verdict for one in show_simulation(simulation).attacks] == ["in the data already"]
