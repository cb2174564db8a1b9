"""The four examples of docs/extending.md in one experiment, on the embedded model; then a changed plugin, and worker
processes.
"""

import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from byorn.bench.experiment import read_experiment
from byorn.bench.run import run_experiments
from byorn.cli.main import main
from byorn.errors import ConfigError
from byorn.plugins import unload_plugins

EXAMPLES = Path(__file__).parents[2] / "examples" / "plugins"
SMALL = {
    "rows": 12,
    "test_rows": 4,
    "defenses": ["drop-repeated"],
    "arguments": {"max_steps": 1, "per_device_train_batch_size": 4},
}
IN_WORKER = """
from byorn.bench.tasks import TASKS
from byorn.errors import DataError


def nothing(rows, test_rows, seed, folder):
    raise DataError(f"no rows for seed {seed}")


TASKS["nothing"] = nothing
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    shutil.copytree(EXAMPLES, folder / "experiments")
    change(folder, **SMALL, rates=[0.25], defense_options={"drop-repeated": {"copies": 2}})
    yield folder
    unload_plugins()


def change(folder, **fields):
    path = folder / "experiments" / "experiment.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **fields}))


def call(folder, *arguments):
    places = [f"--{name}={folder / name}" for name in ("experiments", "results", "work")]
    return main(["bench", *arguments, *places])


def results(folder):
    return [json.loads(path.read_text()) for path in sorted((folder / "results" / "experiment").glob("*.json"))]


def test_the_examples_run_and_the_result_says_which_files_ran(bench):
    assert call(bench, "run", "experiment") == 0
    (result,) = results(bench)
    assert result["metric"] == "unigram_f1"
    assert result["figures"]["clean"]["unigram_f1"]["n"] == 4
    assert (result["detection"]["poisoned"], result["detection"]["recall"]) == (3, 1.0)
    assert result["training"]["learned"] == 9
    names = [f"{kind}.py" for kind in ("attack", "defense", "metric", "task")]
    assert result["plugins"] == {name: sha256((EXAMPLES / name).read_bytes()).hexdigest() for name in names}
    assert "plugins" not in json.dumps(result["cell"])


def test_a_plugin_that_changed_stops_the_run_and_one_that_comes_new_does_not(bench, capsys):
    (bench / "more.py").write_text("from byorn.evaluation.registry import METRICS\n\nMETRICS['more'] = len\n")
    assert call(bench, "run", "experiment", "--plugin", str(bench / "more.py")) == 0
    assert "0 cells to run" in capsys.readouterr().err
    text = (bench / "experiments" / "metric.py").read_text()
    (bench / "experiments" / "metric.py").write_text(text.replace("scale=100", "scale=1"))
    assert call(bench, "run", "experiment") == 2
    assert "made with another metric.py; delete it" in capsys.readouterr().err
    shutil.rmtree(bench / "results")
    assert call(bench, "run", "experiment") == 0
    (result,) = results(bench)
    assert result["pretrained"]["clean"]["unigram_f1"]["value"] <= 1  # the group was judged again, too
    (bench / "experiments" / "metric.py").write_text(text)


def test_tables_need_no_plugin(bench, tmp_path, capsys):
    unload_plugins()
    for name in ("experiments", "results"):
        shutil.copytree(bench / name, tmp_path / name)
    attacks = yaml.safe_load((bench / "experiments" / "experiment.yaml").read_text())["attacks"]
    change(tmp_path, attacks={label: {**options, "objective": "of-a-plugin"} for label, options in attacks.items()})
    for path in (tmp_path / "results" / "experiment").glob("*.json"):
        content = json.loads(path.read_text())
        content["cell"]["group"]["attack"]["objective"] = "of-a-plugin"
        path.write_text(json.dumps(content))
    assert call(tmp_path, "table", "experiment") == 0
    assert "drop-repeated" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"plugins": ["attack.py", "defense.py", "task.py"]}, "metrics: 'unigram_f1' is unknown; use one of"),
        (
            {"plugins": ["attack.py", "defense.py", "metric.py"]},
            "task: 'list-shapes' is unknown; use one of captions, messy, questions, differences, easy-vqa",
        ),
        ({"plugins": []}, "unknown attack 'frame'; choose one of"),
        ({"plugins": ["attack.py"]}, "unknown defense 'drop-repeated'; known are"),
        ({"plugins": ["nowhere.py"]}, "nowhere.py: No such file"),
        ({"plugins": "attack.py"}, "plugins is 'attack.py'; give a list of Python files"),
        ({"plugins": [3]}, "plugins is (3,); give a list of Python files"),
    ],
)
def test_what_is_missing_is_named_before_any_model_works(bench, tmp_path, capsys, fields, says):
    unload_plugins()
    shutil.copytree(bench / "experiments", tmp_path / "experiments")
    change(tmp_path, **fields)
    assert call(tmp_path, "run", "experiment") == 2
    assert says in capsys.readouterr().err.strip().splitlines()[-1]
    assert not list(tmp_path.rglob("predictions*"))


def test_a_worker_process_loads_the_plugins_before_it_works(tmp_path):
    (tmp_path / "mine.py").write_text(IN_WORKER)
    (tmp_path / "e.yaml").write_text(
        "title: T\ntask: nothing\nplugins: [mine.py]\nattacks: {badnets: }\ndefenses: [sft]\nseeds: [0, 1]"
    )
    try:
        failures = run_experiments([read_experiment(tmp_path / "e.yaml")], tmp_path / "r", tmp_path / "w", jobs=2)
    finally:
        unload_plugins()
    assert sorted(failures) == [f"badnets-r0.1-s{seed}: DataError: no rows for seed {seed}" for seed in (0, 1)]


@pytest.mark.slow
def test_the_examples_run_in_two_worker_processes(tmp_path):
    shutil.copytree(EXAMPLES, tmp_path / "experiments")
    change(tmp_path, **SMALL, rates=[0.25], seeds=[0, 1])
    try:
        assert call(tmp_path, "run", "experiment", "--jobs", "2") == 0
    finally:
        unload_plugins()
    used = {"attack.py", "defense.py", "metric.py", "task.py"}
    assert [set(result["plugins"]) for result in results(tmp_path)] == [used] * 2


def test_an_experiment_without_plugins_keeps_its_settings(tmp_path):
    from byorn.bench.settled import plain

    (tmp_path / "e.yaml").write_text("title: T\nattacks: {badnets: }\ndefenses: [sft]")
    experiment = read_experiment(tmp_path / "e.yaml")
    assert experiment.plugins == ()
    content = plain(next(experiment.cells(next(experiment.groups()))))
    assert "plugins" not in json.dumps(content)


def test_a_plugin_of_an_experiment_that_others_extend_is_found_beside_it(tmp_path):
    (tmp_path / "e.yaml").write_text("title: T\nplugins: [mine.py]\nattacks: {badnets: }\ndefenses: [sft]")
    (tmp_path / "sweep.yaml").write_text("extends: e\nrates: [0.5]")
    assert read_experiment(tmp_path / "sweep.yaml").plugins == (tmp_path / "mine.py",)
    with pytest.raises(ConfigError, match=r"mine\.py: No such file"):
        run_experiments([read_experiment(tmp_path / "sweep.yaml")], tmp_path / "r", tmp_path / "w")
