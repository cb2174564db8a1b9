"""The plans of the defenses that train nothing first."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from cases import tiny_case

from byorn.data.load import load_rows
from byorn.defenses import DEFENSES
from byorn.defenses.base_relabel import FixedResponses
from byorn.errors import DataError, MismatchError
from byorn.models.generate import generate
from byorn.testing import tiny_rows
from poisoning import poison


def test_sft_trusts_everything_and_costs_nothing(tmp_path):
    plan = DEFENSES["sft"](tiny_case(tmp_path, None, None))
    assert not plan.flags.flagged.any()
    assert plan.rows is None
    assert vars(plan.cost) == {"seconds": 0.0, "forward_passes": 0, "fine_tunes": 0}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("share", "count"), [(0.4, 5), (0.0, 0), (1.0, 12)])
def test_random_drop_drops_its_share_by_the_seed(tmp_path, share, count):
    case = tiny_case(tmp_path, None, None)
    dropped = [DEFENSES["random-drop"](replace(case, seed=seed), share=share).flags.flagged for seed in (0, 0, 1)]
    assert [int(flags.sum()) for flags in dropped] == [count] * 3
    assert (dropped[0] == dropped[1]).all()
    assert (dropped[0] == dropped[2]).all() == (share in (0.0, 1.0))


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("poisoned")
    options = {"attack": "badnets", "target": "banana", "rate": 0.25, "seed": 1}
    return folder / "data", poison(tiny_rows(12), out=folder / "data", **options)


@pytest.mark.parametrize("name", ["", "manifest.json"])
def test_the_oracle_drops_exactly_the_poisoned_rows(poisoned, tmp_path, name):
    folder, manifest = poisoned
    case = tiny_case(tmp_path, None, None, load_rows(str(folder)).rows)
    plan = DEFENSES["oracle"](case, manifest=str(folder / name))
    assert {key for key, flag in zip(case.keys, plan.flags.flagged, strict=True) if flag} == manifest.keys
    assert plan.arguments == {"replacement": "drop"}
    assert pq.read_table(tmp_path / "flags.parquet").num_rows == 12


def test_the_oracle_refuses_no_manifest_and_a_strange_one(poisoned, tmp_path):
    with pytest.raises(DataError, match="manifest"):
        DEFENSES["oracle"](tiny_case(tmp_path, None, None), manifest=str(tmp_path))
    strangers = [replace(row, id=f"other-{at}") for at, row in enumerate(tiny_rows(4))]
    with pytest.raises(MismatchError, match="other rows"):
        DEFENSES["oracle"](tiny_case(tmp_path, None, None, strangers), manifest=str(poisoned[0]))


def test_byorn_and_its_filter_have_the_flags_of_a_scan(model, processor, tmp_path):
    case = tiny_case(tmp_path, model, processor)
    plan, drop = DEFENSES["byorn"](case), DEFENSES["byorn-f"](case)
    nll = np.array(pq.read_table(tmp_path / "scores.parquet")["nll"].to_pylist())
    assert plan.flags.flagged.tolist() == (nll > np.quantile(nll, 0.6)).tolist() == drop.flags.flagged.tolist()
    assert (dict(plan.arguments), dict(drop.arguments)) == ({}, {"replacement": "drop"})
    assert plan.cost.forward_passes == 12
    assert plan.cost.seconds > 0


class Trainer:
    source: Any = None


def answers_of(plan, case):
    """What the plan would have a trainer learn for its flagged rows."""
    trainer = Trainer()
    plan.prepare(trainer)
    samples = [case.dataset[int(row)] for row in np.flatnonzero(plan.flags.replaced)]
    drawn = [trainer.source(None, samples, step) for step in (0, 7)]
    assert drawn[0] == drawn[1]
    return samples, drawn[0]


def test_base_relabel_answers_each_flagged_row_once_by_the_pretrained_model(model, processor, tmp_path):
    case = tiny_case(tmp_path, model, processor)
    plan = DEFENSES["base-relabel"](case)
    samples, answers = answers_of(plan, case)
    limit = max(answer.tokens for answer in answers)
    alone = [generate(model, processor, [sample], max_new_tokens=limit)[0] for sample in samples]
    assert answers == alone
    steps = sum(answer.tokens + (not answer.truncated) for answer in answers)
    assert plan.cost.forward_passes == 12 + steps
    again = DEFENSES["base-relabel"](replace(case, model=None))
    assert again.cost == plan.cost


def test_base_relabel_can_sample_by_the_seed_of_the_run(model, processor, tmp_path):
    def texts(name, seed, batch):
        case = tiny_case(tmp_path / name, model, processor, seed=seed, batch_size=batch)
        case.folder.mkdir()
        return [answer.text for answer in answers_of(DEFENSES["base-relabel"](case, sampled=True), case)[1]]

    first = texts("one", 0, 2)
    assert first == texts("two", 0, 5)
    assert first != texts("three", 1, 5)


def test_answers_to_other_rows_than_those_flagged_now_are_refused(model, processor, tmp_path):
    case = tiny_case(tmp_path, model, processor)
    DEFENSES["base-relabel"](case)
    import pyarrow as pa

    columns = pq.read_table(tmp_path / "flags.parquet").to_pydict()
    first = columns["flagged"].index(True)
    columns["review"][first] = "keep"
    columns["review"][columns["flagged"].index(False)] = "replace"
    pq.write_table(pa.table(columns), tmp_path / "flags.parquet")
    with pytest.raises(MismatchError, match="other rows"):
        DEFENSES["base-relabel"](case)


def test_fixed_responses_know_their_rows_by_id_and_turn():
    answers = [{"id": "a", "turn": turn, "text": str(turn), "tokens": 1, "truncated": False} for turn in (0, 1)]
    rows = [{"id": "a", "turn": 1}, {"id": "a", "turn": 0}]
    assert [answer.text for answer in FixedResponses(answers)(None, rows, 3)] == ["1", "0"]
