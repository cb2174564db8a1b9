"""Result files -> tables: numbers that can be checked by hand."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from byorn.bench.grids import by_cost, by_defense
from byorn.bench.plot import plot_frontier
from byorn.bench.result import CellResult
from byorn.bench.results import interval, lines, pooled, read_results
from byorn.bench.roc import plot_roc
from byorn.bench.settled import without_none
from byorn.bench.table import as_html, as_json, as_markdown
from byorn.errors import DataError
from byorn.evaluation.metric import Metric

DETECTION = {
    "auc": 0.9,
    "recall": 1.0,
    "recall_interval": [0.7, 1.0],
    "false_flag_share": 0.3,
    "poisoned": 10,
    "clean": 90,
}


def figure(value, n=100, low=0.0, high=1.0):
    """A figure as a result file has it: None where it is undefined."""
    return {"name": "", "value": value, "n": n, "low": low, "high": high, "excluded": 0, "reason": ""}


def metric(value, **others):
    return Metric.from_dict(figure(value, **others))


def result(**given):
    return CellResult.from_dict(content(**given))


def content(seed=0, attack="badnets", defense="byorn", asr=0.1, utility=0.8, task="questions", percentile=0.6):
    return {
        "cell": {
            "group": {
                "task": task,
                "rows": 100,
                "test_rows": 100,
                "model": "embedded",
                "label": attack,
                "attack": {"attack": attack},
                "rate": 0.1,
                "seed": seed,
            },
            "defense": defense,
            "options": {},
            "percentile": percentile,
            "ema_decay": 0.99,
            "lora_rank": 16,
            "arguments": {},
        },
        "metric": "vqa_accuracy",
        "figures": {
            "asr": figure(asr),
            "false_asr": figure(0.02),
            "clean": {"vqa_accuracy": figure(utility)},
            "triggered": {"vqa_accuracy": figure(0.5)},
        },
        "pretrained": {"asr": figure(0.0), "clean": {"vqa_accuracy": figure(0.3)}},
        "detection": DETECTION if defense == "byorn" else None,
        "seconds": {"scan": 5.0, "train": 20.0, "evaluate": 3.0},
        "training": {
            "steps": 100,
            "cost": {"forward_passes": 250, "fine_tunes": 1},
            "seconds": {"scoring": 5.0, "sampling": 4.0, "training_without_sampling": 15.0},
        },
        "peak_megabytes": {"train": 1000 + seed},
        "versions": {},
    }


def test_seeds_are_averaged_and_attack_rates_pooled():
    (line,) = lines([result(seed=0, asr=0.1, utility=0.7), result(seed=1, asr=0.3, utility=0.9)])
    assert line.seeds == 2
    assert line.utility == pytest.approx(0.8)
    assert line.asr == pytest.approx(0.2)
    assert line.n == 200
    assert line.asr_interval is not None
    low, high = line.asr_interval
    assert 0.14 < low < 0.2 < high < 0.27
    assert line.seconds == pytest.approx(25.0)
    assert line.detection_recall == 1.0


def test_a_defense_without_flags_pays_for_no_scan_and_detects_nothing():
    (line,) = lines([result(defense="sft")])
    assert line.seconds == pytest.approx(20.0)
    assert line.detection_auc is None


def test_a_defense_by_evidence_pays_for_its_own_scan():
    by_evidence = result()
    training = {**by_evidence.training, "seconds": {**by_evidence.training["seconds"], "scoring": 12.0}}
    cell = replace(by_evidence.cell, rule="evidence", percentile=None)
    (line,) = lines([replace(by_evidence, cell=cell, training=training)])
    assert line.seconds == pytest.approx(32.0)


def test_the_interval_over_seeds_is_students():
    low, high = interval([metric(1.0), metric(2.0), metric(3.0)])
    assert low == pytest.approx(2 - 4.3027 / 3**0.5, abs=1e-3)
    assert high == pytest.approx(2 + 4.3027 / 3**0.5, abs=1e-3)
    assert interval([metric(1.0, low=0.4, high=1.6)]) == [0.4, 1.6]


def test_a_seed_without_a_figure_leaves_the_interval_of_the_other():
    assert interval([metric(None, low=None, high=None), metric(1.0, low=0.4, high=1.6)]) == [0.4, 1.6]
    assert interval([metric(None, low=None, high=None)]) == [None, None]


def test_a_ratio_is_formed_over_equal_seeds_alone():
    several = lines(
        [result(seed=0), result(seed=1), result(seed=0, defense="oracle"), result(seed=0, defense="byorn-f")]
    )
    ratio = {row[0]: row[3] for row in by_defense(several).rows}
    assert ratio == {"oracle": "100.0%", "byorn-f": "100.0%", "byorn": "–"}


def test_an_attack_rate_over_no_item_is_undefined():
    assert pooled([metric(None, n=0)]) == (None, None, 0)


def test_a_decay_that_the_training_chose_is_told_from_numbers():
    left = content()
    del left["cell"]["ema_decay"]  # as its result file has it
    text = as_markdown(lines([CellResult.from_dict(left), result(), result(defense="sft")]), {"": "Sweep"})
    names = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith(("| byorn", "| sft"))]
    assert names == ["sft", "byorn, decay 0.99", "byorn, decay default"] * 3


def test_settings_that_differ_are_told_apart():
    found = lines([result(percentile=0.6), result(percentile=0.95)])
    assert [line.percentile for line in found] == [0.6, 0.95]
    text = as_markdown(found, {"": "Sweep"})
    assert "| byorn, p 0.6 |" in text
    assert "| byorn, p 0.95 |" in text


def test_the_table_has_attacks_across_defenses_down_and_their_mean():
    found = lines([result(attack="a", asr=0.2, utility=0.6), result(attack="b", asr=0.4, utility=0.8)])
    text = as_markdown(found, {"": "Main"})
    assert "| defense | a | b | mean |" in text
    assert "| byorn | 60.0 / 20.0 | 80.0 / 40.0 | 70.0 / 30.0 |" in text


def test_the_summary_compares_with_the_oracle_and_with_plain_fine_tuning():
    oracle, plain = result(defense="oracle", utility=1.0, asr=0.0), result(defense="sft", asr=1.0)
    found = lines(
        [oracle, plain, result(attack="badnets", asr=0.1, utility=0.8), result(attack="b", asr=0.3, utility=0.8)]
    )
    summary = by_defense(found)
    rows = {row[0]: dict(zip(summary.head, row, strict=True)) for row in summary.rows}
    assert list(rows) == ["sft", "oracle", "byorn"]
    assert rows["byorn"]["ASR %"].startswith("20.0 [")
    assert (rows["byorn"]["n"], rows["byorn"]["worst"], rows["byorn"]["clean"]) == ("200", "30.0", "2.0")
    assert (rows["byorn"]["of the oracle"], rows["byorn"]["time"]) == ("80.0%", "1.25 x")
    assert rows["sft"]["AUC"] == "–"


def test_what_is_undefined_is_left_out_of_means():
    (line,) = lines([result(seed=0, utility=None), result(seed=1, utility=0.9)])
    assert line.utility == 0.9
    assert "undefined" in as_markdown(lines([result(asr=None)]), {"": "Empty"})


def test_cost_is_told_by_phase():
    cost = by_cost(lines([result(seed=0), result(seed=1)]))
    (row,) = (dict(zip(cost.head, row, strict=True)) for row in cost.rows)
    assert (row["steps"], row["passes"], row["fine-tunes"], row["peak MB"]) == ("100", "250", "1", "1001")
    assert (row["before, s"], row["sampling, s"], row["training, s"]) == ("5.0", "4.0", "15.0")


def test_several_experiments_are_one_list_and_one_page():
    found = [line for name in "ab" for line in lines([replace(result(), experiment=name)])]
    assert [row["experiment"] for row in json.loads(as_json(found, {"a": "A", "b": "B"}))] == ["a", "b"]
    page = as_html(found, {"a": "A", "b": "B"})
    assert (page.count("<!doctype"), page.count("<h1>")) == (1, 2)


def test_seconds_are_those_of_runs_in_one_piece():
    short = replace(result(seed=1), resumed=True, seconds={"scan": 0.0, "train": 1.0})
    (line,) = lines([result(seed=0), short])
    assert (line.seconds, line.seeds) == (25.0, 2)


def test_the_share_on_clean_inputs_is_pooled_like_the_other():
    many = content(attack="b")
    many["figures"]["false_asr"] = figure(0.1, n=300)
    summary = by_defense(lines([result(attack="a"), CellResult.from_dict(many)]))
    assert dict(zip(summary.head, summary.rows[0], strict=True))["clean"] == "8.0"


def test_any_number_of_detectors_and_any_name_can_be_drawn(tmp_path):
    curve = {**DETECTION, "roc": {"false": [0, 1], "true": [0, 1]}}
    files = [content(defense=f"own{number}", attack="a$\\frac$") | {"detection": curve} for number in range(14)]
    found = [CellResult.from_dict(file) for file in files]
    assert plot_roc(found, "$\\frac$", tmp_path / "roc.svg")
    plot_frontier(lines(found), "$\\frac$", tmp_path / "frontier.svg")
    with pytest.raises(DataError, match="nothing to draw"):
        plot_frontier(lines([result(asr=None)]), "", tmp_path / "none.svg")


def test_what_an_earlier_version_of_the_experiment_left_is_named_and_not_averaged_in(tmp_path, capsys):
    for slug, utility, seed in (("a", 0.5, 0), ("b", 0.9, 0), ("c", 0.7, 1)):
        (tmp_path / f"{slug}.json").write_text(json.dumps(result(utility=utility, seed=seed).as_dict()))
    cell = result().cell
    (line,) = lines(read_results(tmp_path, {"a": cell, "c": cell}))
    assert (line.utility, line.seeds) == (0.5, 1)
    said = capsys.readouterr().err
    assert "b.json: no cell of this experiment, left out" in said
    assert "c.json: made with group.seed=1, not 0, left out" in said


def test_a_percentile_that_the_defense_does_not_read_leaves_a_result_in_the_table(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(result(defense="sft", percentile=0.9).as_dict()))
    assert lines(read_results(tmp_path, {"a": result(defense="sft", percentile=0.6).cell}))
    with pytest.raises(DataError, match="no results"):
        read_results(tmp_path, {"a": result(percentile=0.6).cell})


def test_json_has_a_row_for_each_line():
    rows = json.loads(as_json(lines([result(), result(defense="sft")]), {}))
    assert {
        "task",
        "attack",
        "defense",
        "seeds",
        "utility",
        "utility_interval",
        "asr",
        "asr_interval",
        "asr_pretrained",
        "utility_triggered",
        "detection_auc",
        "detection_recall",
        "seconds",
    } <= set(rows[0])
    assert [row["defense"] for row in rows] == ["byorn", "sft"]


def test_names_are_escaped_in_html():
    page = as_html(lines([result(attack="<script>alert(1)</script>")]), {"": "<b>"})
    assert "<script" not in page
    assert "&lt;b&gt;" in page


def test_no_result_and_a_broken_one_are_one_line(tmp_path):
    with pytest.raises(DataError, match="no results; run"):
        read_results(tmp_path)
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(DataError, match=r"x\.json: no result file"):
        read_results(tmp_path)


COMMITTED = sorted((Path(__file__).parents[2] / "benchmarks" / "results").glob("*/*-s0.json"))


def test_a_result_file_that_is_read_and_written_again_is_the_same():
    for path in COMMITTED:
        before = json.loads(path.read_text())
        after = json.loads(json.dumps(CellResult.from_dict(before).as_dict(), allow_nan=False))
        before["cell"] = without_none(before["cell"])
        later = {"tests": {}, "resumed": False, "source": "", "plugins": {}}
        if before["detection"]:
            before["detection"].setdefault("roc", None)
        assert after == later | before, path


def test_further_test_sets_are_results_of_their_own():
    other = {"figures": content(utility=0.2)["figures"], "pretrained": content()["pretrained"]}
    (own, further) = CellResult.from_dict(content(task={"name": "mine"}) | {"tests": {"theirs": other}}).by_test()
    assert [line.utility for line in lines([own, further])] == [0.8, 0.2]
    assert (own.task, further.task, own.cell.slug) == ("mine", "theirs", further.cell.slug)
