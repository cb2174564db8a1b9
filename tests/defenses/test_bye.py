"""BYE on entropies made by hand, with clusters that are known."""

from math import log

import numpy as np
import pyarrow.parquet as pq
import pytest
from cases import IDENTITY, tiny_case

from byorn.defenses.attention import FirstLook
from byorn.defenses.bye import bye, comparable, entropies, low_component, sensitive_layers
from byorn.runs.stage_table import measured
from byorn.testing import tiny_rows

COUNT, POISONED = 40, [1, 5, 9, 33]


def look(weights, image):
    return FirstLook(np.array(weights, np.float32), np.zeros(len(image), int), np.array(image, bool))


def test_the_entropy_is_that_of_the_image_part_alone_averaged_over_heads():
    even = [[0.6, 0.1, 0.1, 0.1, 0.1], [0.2, 0.2, 0.2, 0.2, 0.2]]
    sharp = [[0.0, 1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]]
    mixed = [[0.0, 0.5, 0.5, 0.0, 0.0], [0.0, 0.5, 0.0, 0.5, 0.0]]  # mean over heads: 1/2, 1/4, 1/4, 0
    found = entropies(look([even, sharp, mixed], [0, 1, 1, 1, 1]))
    assert found == pytest.approx([log(4), 0.0, 1.5 * log(2)], abs=1e-6)


def test_a_row_without_an_image_has_no_entropy():
    assert np.isnan(entropies(look([[[0.5, 0.5]]], [0, 0]))).all()


def test_attention_that_passes_the_image_by_is_not_taken_for_sharp_attention():
    unseen = [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    assert np.isnan(entropies(look([unseen], [0, 1, 1]))).all()


def test_rows_with_more_image_tokens_are_no_cluster_of_their_own():
    tokens = np.array([[9.0]] * 10 + [[144.0]] * 10)
    share = 0.9 + 0.01 * np.random.default_rng(0).normal(size=(20, 1))
    found = comparable(np.hstack([share * np.log(tokens), tokens]))
    assert sensitive_layers(share * np.log(tokens)) == [0]
    assert sensitive_layers(found) == []
    assert found == pytest.approx(share * np.log(144))


def test_one_token_for_an_image_leaves_nothing_to_concentrate():
    assert np.isnan(comparable(np.array([[0.0, 1.0], [0.0, 0.0]]))).all()
    assert comparable(np.array([[1.5, 9.0], [0.0, 1.0]]))[0, 0] == 1.5


def made_by_hand(layers=3, seed=0):
    """Entropies of 40 rows: in layer 1 four rows are 2 nats lower, with a spread of 0.1; the other layers say
    nothing.
    """
    matrix = np.random.default_rng(seed).normal(5, 0.1, (COUNT, layers))
    matrix[POISONED, 1] -= 2
    return matrix


def test_a_layer_is_sensitive_if_two_groups_keep_their_distance():
    assert sensitive_layers(made_by_hand()) == [1]


@pytest.mark.parametrize("gap", [0.0, 0.2])
def test_groups_that_touch_make_no_sensitive_layer(gap):
    matrix = made_by_hand()
    matrix[POISONED, 1] += 2 - gap
    assert sensitive_layers(matrix) == []


def test_equal_entropies_and_a_single_row_make_no_sensitive_layer():
    assert sensitive_layers(np.full((9, 2), 3.0)) == []
    assert sensitive_layers(np.ones((1, 2))) == []


def test_the_low_component_is_suspicious_even_if_it_is_the_larger_one():
    values = np.concatenate([np.linspace(1, 1.1, 30), np.linspace(4, 4.1, 10)])
    assert (low_component(values) > 0.5).tolist() == [True] * 30 + [False] * 10


def plan_for(matrix, folder, model, processor, images=1):
    """The plan of a run whose entropies are already there."""
    case = tiny_case(folder, model, processor, tiny_rows(len(matrix), images))
    values = [{"entropies": [*line.tolist(), 16.0]} for line in matrix]
    measured(
        case.files / "entropies.parquet",
        IDENTITY,
        {"entropies"},
        range(len(matrix)),
        8,
        lambda b: [values[i] for i in b],
    )
    return bye(case)


def test_the_known_cluster_is_dropped(model, processor, tmp_path):
    plan = plan_for(made_by_hand(), tmp_path, model, processor)
    assert np.flatnonzero(plan.flags.flagged).tolist() == POISONED
    assert plan.arguments == {"replacement": "drop"}
    assert plan.found == {"sensitive_layers": [1]}
    assert (plan.cost.forward_passes, plan.cost.fine_tunes) == (COUNT, 1)
    assert plan.cost.seconds > 1.5  # what the tuned model took, and the measuring
    flags = pq.read_table(tmp_path / "flags.parquet").to_pydict()
    assert flags["flagged"] == plan.flags.flagged.tolist()
    assert flags["weight"] == plan.flags.weight.tolist()
    assert set(flags["rule"]) == {"bye"}


def test_without_a_sensitive_layer_everything_is_kept(model, processor, tmp_path):
    plan = plan_for(made_by_hand()[:, [0, 2]], tmp_path, model, processor)
    assert not plan.flags.flagged.any()


def test_rows_without_an_image_are_kept_and_do_not_count(model, processor, tmp_path):
    matrix = made_by_hand()
    matrix[[0, 20]] = np.nan
    plan = plan_for(matrix, tmp_path, model, processor)
    assert np.flatnonzero(plan.flags.flagged).tolist() == POISONED
    none = plan_for(np.full((6, 3), np.nan), tmp_path / "text", model, processor, images=0)
    assert not none.flags.flagged.any()


def test_a_layer_that_does_not_see_the_image_hides_nobody(model, processor, tmp_path):
    matrix = made_by_hand()
    matrix[:, 0] = np.nan
    matrix[5, 2] = np.nan
    plan = plan_for(matrix, tmp_path, model, processor)
    assert np.flatnonzero(plan.flags.flagged).tolist() == POISONED


def test_a_persons_word_about_a_row_is_kept(model, processor, tmp_path):
    import pyarrow as pa

    plan_for(made_by_hand(), tmp_path, model, processor)
    columns = pq.read_table(tmp_path / "flags.parquet").to_pydict()
    columns["review"][POISONED[0]] = "keep"
    pq.write_table(pa.table(columns), tmp_path / "flags.parquet")
    plan = plan_for(made_by_hand(), tmp_path, model, processor)
    assert np.flatnonzero(plan.flags.replaced).tolist() == POISONED[1:]


def test_entropies_are_measured_row_by_row_and_once(model, processor, tmp_path):
    from dataclasses import replace

    case = tiny_case(tmp_path, model, processor)
    first = bye(case)
    matrix = np.array(pq.read_table(case.files / "entropies.parquet")["entropies"].to_pylist())
    assert matrix[:, 2].tolist() == [16] * 12
    assert ((matrix[:, :2] > 0) & (matrix[:, :2] <= log(16) + 1e-6)).all()
    again = bye(replace(case, dataset=case.dataset.remove_columns("images")))
    assert again.flags.weight.tolist() == first.flags.weight.tolist()
    assert again.cost == first.cost
