"""An experiment file: what it spans, and how it fails."""

import pytest

from byorn.bench.cell import train_spec
from byorn.bench.experiment import read_experiment
from byorn.bench.group import Setup
from byorn.bench.run import run_experiments
from byorn.bench.settings import BenchSpec
from byorn.bench.settled import differences, plain
from byorn.errors import ConfigError

FILE = """
title: A small one
rows: 40
seeds: [0, 1]
attacks:
  badnets:
  small: {attack: badnets, options: {size: 0.1}}
defenses: [sft, byorn-f, byorn]
percentiles: [0.3, 0.6]
ema_decays: [0.9, 0.99]
"""


def write(folder, text=FILE):
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_it_spans_attacks_seeds_and_sweeps(tmp_path):
    experiment = read_experiment(write(tmp_path))
    groups = list(experiment.groups())
    assert [group.slug for group in groups] == ["badnets-r0.1-s0", "small-r0.1-s0", "badnets-r0.1-s1", "small-r0.1-s1"]
    assert groups[0].attack.attack == groups[1].attack.attack == "badnets"
    assert groups[1].attack.options == {"size": 0.1}


def test_a_setting_is_swept_for_the_defenses_that_read_it_alone(tmp_path):
    experiment = read_experiment(write(tmp_path))
    cells = list(experiment.cells(next(experiment.groups())))
    assert [cell.defense for cell in cells] == ["sft", "byorn-f", "byorn-f", "byorn", "byorn", "byorn", "byorn"]
    assert len({cell.slug for cell in cells}) == len(cells)


def test_each_rule_is_run_by_the_defenses_that_flag(tmp_path):
    text = f"{FILE.replace('ema_decays: [0.9, 0.99]', 'ema_decays: [0.9]')}rules: [paper, evidence]\n"
    experiment = read_experiment(write(tmp_path, text))
    cells = {cell.slug.removesuffix("-r0.1-s0"): cell for cell in experiment.cells(next(experiment.groups()))}
    assert list(cells)[:4] == [
        "badnets-sft",
        "badnets-byorn-f-p0.3",
        "badnets-byorn-f-p0.6",
        "badnets-byorn-f-evidence",
    ]
    assert cells["badnets-byorn-evidence-e0.9"].label == "byorn, evidence"
    assert plain(cells["badnets-byorn-evidence-e0.9"])["rule"] == "evidence"
    assert "rule" not in plain(cells["badnets-byorn-p0.6-e0.9"])  # as in results of earlier versions


def test_the_decay_may_be_left_to_the_training_beside_others(tmp_path):
    """Its results have a name that no number makes."""
    experiment = read_experiment(write(tmp_path, FILE.replace("[0.9, 0.99]", "[0.9, default]")))
    given, chosen = list(experiment.cells(next(experiment.groups())))[-2:]
    assert (given.slug, given.ema_decay) == ("badnets-byorn-p0.6-e0.9-r0.1-s0", 0.9)
    assert (chosen.slug, chosen.ema_decay) == ("badnets-byorn-p0.6-edefault-r0.1-s0", None)
    assert {given.slug, chosen.slug} < set(experiment.by_slug())
    assert differences(plain(chosen), chosen) == []
    assert differences(plain(given), chosen) == ["made with ema_decay=0.9, not None"]
    assert train_spec(chosen, Setup(chosen.group, ("cider",), 8), tmp_path).arguments["ema_decay"] is None


def test_a_cell_as_json_is_what_json_gives_back(tmp_path):
    import json

    experiment = read_experiment(write(tmp_path))
    content = plain(next(experiment.cells(next(experiment.groups()))))
    assert json.loads(json.dumps(content)) == content


def test_an_experiment_takes_from_another_what_it_leaves_out(tmp_path):
    write(tmp_path)
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text("extends: mine\ntitle: A sweep\npercentiles: [0.9]")
    experiment = read_experiment(sweep)
    assert (experiment.name, experiment.title, experiment.rows) == ("sweep", "A sweep", 40)
    assert experiment.percentiles == (0.9,)


@pytest.mark.parametrize("base", ["sweep", "nowhere"])
def test_an_experiment_extends_one_that_stands_alone(tmp_path, base):
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text(f"extends: {base}\ntitle: A sweep")
    with pytest.raises(ConfigError, match="experiment"):
        read_experiment(sweep)


def test_an_experiment_that_is_not_there_is_answered_with_those_that_are(tmp_path):
    write(tmp_path)
    with pytest.raises(ConfigError, match=r"nope\.yaml: no such file; in .* there is: \w+$"):
        read_experiment(tmp_path / "nope.yaml")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("rows: 40", "rowz: 40"), "unknown field 'rowz'"),
        (("title: A small one", ""), "field 'title' is missing"),
        (("seeds: [0, 1]", "seeds: 3"), "seeds is 3; give a list"),
        (("defenses: [sft, byorn-f, byorn]", "defenses: []"), "defenses"),
        (("  small: {attack: badnets, options: {size: 0.1}}", "  small: {size: 0.1}"), "unknown field 'size'"),
        (("  badnets:\n", "  badnets: [0.1]\n"), "attacks: badnets: give `option: value` lines"),
        (("  badnets:\n", "  badnets: small\n"), "attacks: badnets: give `option: value` lines"),
        (("{size: 0.1}", "0.1"), "attacks: small: options: 0.1 is not a mapping"),
        (("{size: 0.1}", ""), "attacks: small: options: None is not a mapping"),
        (("  small:", "  a/b:"), "attacks: 'a/b' names files; give a name without slashes"),
        (("  small:", "  1:"), "attacks: 1 names files; give a name without slashes, in quotes"),
        (("  small:", "  '':"), "attacks: '' names files"),
        (("title: A small one", "title: x\ndefense_options: {onion: 0.2}"), "defense_options: onion: give"),
        (("seeds: [0, 1]", "seeds: [0, 0]"), "two cells are called 'badnets-sft-r0.1-s0'"),
        (("title: A small one", "title: x\nrates: [0.1, 0.10000001]"), "two cells are called 'badnets-sft-r0.1-s0'"),
        (("title: A small one", "title: x\narguments: {percentile: 0.9}"), "percentile: write percentiles"),
        (("title: A small one", "title: x\narguments: {seed: 7}"), "seed: write seeds"),
        ((FILE, "- 1"), "expected `field: value` lines"),
        ((FILE, "a: [1"), "experiment"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path, change, says):
    with pytest.raises(ConfigError, match=r"\w") as caught:
        list(read_experiment(write(tmp_path, FILE.replace(*change))).groups())
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_result_stays_valid_when_a_setting_is_added(tmp_path):
    experiment = read_experiment(write(tmp_path))
    content = plain(next(experiment.cells(next(experiment.groups()))))
    assert "lora_targets" not in content
    assert "dtype" not in str(content["group"])
    given = read_experiment(write(tmp_path, FILE + "dtype: bfloat16\nlora_targets: all-linear\n"))
    content = plain(next(given.cells(next(given.groups()))))
    assert (content["lora_targets"], content["group"]["dtype"]) == ("all-linear", "bfloat16")


def test_success_is_what_the_objective_says_unless_the_experiment_says_otherwise(tmp_path):
    attacks = """attacks:
  plain: {attack: badnets}
  refusal: {attack: badnets, objective: refusal}
  literal: {attack: badnets, objective: refusal, convention: substring}
"""
    experiment = read_experiment(write(tmp_path, attacks + "title: Three\ndefenses: [sft]\nseeds: [0]\n"))
    found = [group.attack.convention for group in experiment.groups()]
    assert found == ["substring", "backdoorvlm_refusal", "substring"]


def test_the_rows_that_almost_fit_can_be_asked_for(tmp_path):
    attacks = "attacks: {any: {attack: badnets}, fits: {attack: badnets, selection: likely}}\n"
    experiment = read_experiment(write(tmp_path, attacks + "title: Two\ndefenses: [sft]\nseeds: [0]\n"))
    found = [group.recipe.selection for group in experiment.groups()]
    assert found == ["random", "likely"]


@pytest.mark.parametrize("field", ["rows", "test_rows", "batch_size", "lora_rank"])
@pytest.mark.parametrize("value", ["-1", "0", ".nan", ".inf", "1.0e+30", "true", "many", "1" + "0" * 400])
def test_a_number_out_of_range_is_refused_with_the_file(tmp_path, field, value):
    text = FILE.replace("rows: 40\n", "") if field == "rows" else FILE.replace(f"{field}:", "title:", 1)
    with pytest.raises(ConfigError, match=f"{field}: "):
        read_experiment(write(tmp_path, f"{text}\n{field}: {value}\n"))


@pytest.mark.parametrize("field", ["seeds", "rates", "rules", "percentiles", "ema_decays"])
@pytest.mark.parametrize("value", ["-1", ".nan", ".inf", "1.0e+30", "true", "many"])
def test_one_wrong_number_in_a_list_is_found(tmp_path, field, value):
    lines = [line for line in FILE.splitlines() if not line.startswith(f"{field}:")]
    with pytest.raises(ConfigError, match=f"{field}: "):
        read_experiment(write(tmp_path, "\n".join([*lines, f"{field}: [{value}]"])))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("arguments: {learning_rate: -1}", "learning_rate"),
        ("arguments: {dataloader_num_workers: -1}", "dataloader_num_workers"),
        ('arguments: {bf16: "false"}', "bf16"),
        ("defense_options: {random-drop: {share: 2}}", "share"),
        ("defense_options: {random-dorp: {share: 0.2}}", "unknown defense 'random-dorp'; did you mean"),
        ("rates: [2]", "rates"),
        ("defenses: [sft, byron]", "unknown defense 'byron'"),
        ("attacks: {any: {attack: badnets, convention: vltrojn}}", "ASR convention 'vltrojn' is unknown"),
        ("attacks: {any: {attack: badnets, convention: backdoorvlm_concept}}", "needs a source"),
        ("task: {train: a.json, test: b.json, metric: cidr}", "metrics: 'cidr' is unknown"),
        ("task: caption", "task: 'caption' is unknown"),
        ("task: {train: a.json, test: b.json}", "task: 'metric' is missing"),
        ("task: {train: a.json, test: b.json, metric: cider, max_new_tokens: 0}", "task: max_new_tokens"),
    ],
)
def test_nothing_is_run_of_an_experiment_that_cannot_be_run_to_its_end(tmp_path, line, says):
    attacks = "" if line.startswith("attacks") else "attacks: {any: {attack: badnets}}\n"
    rest = f"{attacks}title: One\nseeds: [0]\n"
    defenses = "" if line.startswith("defenses") else "defenses: [sft, random-drop]\n"
    with pytest.raises(ConfigError, match=says):
        run_experiments([read_experiment(write(tmp_path, f"{rest}{defenses}{line}\n"))], tmp_path / "r", tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_parts_of_an_experiment_are_all_of_it_and_never_meet(tmp_path, monkeypatch):
    """Also when another one has been at work: what has a result moves nobody's share."""
    experiment = read_experiment(write(tmp_path))
    ran = []
    monkeypatch.setattr("byorn.bench.run.run_job", lambda job: ran.append(job.group.slug) or [])
    monkeypatch.setattr("byorn.bench.run.finished", lambda cell, *_: cell.group.slug in ran)
    for part in ("0/3", "1/3", "2/3"):
        run_experiments([experiment], tmp_path / "r", tmp_path / "w", share=BenchSpec(part=part).share)
    slugs = [group.slug for group in experiment.groups()]
    assert ran == [slugs[0], slugs[3], slugs[1], slugs[2]]


@pytest.mark.parametrize("text", ["4/4", "1", "1/", "-1/4", "a/b", "0/0"])
def test_what_is_no_part_is_refused_in_one_line(text):
    with pytest.raises(ConfigError, match="is no share; write 0/4"):
        BenchSpec(part=text)
