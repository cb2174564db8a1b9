"""`--plugin FILE` of poison, train and evaluate, on the command line and in YAML."""

import json
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from parsing import values_of
from PIL import Image

from byorn.attacks.manifest import read_manifest
from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.data.load import load_rows
from byorn.plugins import unload_plugins
from byorn.testing import save_tiny, tiny_rows

EXAMPLES = Path(__file__).parents[2] / "examples" / "plugins"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tiny model and 12 rows."""
    folder = tmp_path_factory.mktemp("place")
    save_tiny(folder / "model")
    write_rows(tiny_rows(12), folder / "data")
    return folder


@pytest.fixture(autouse=True)
def clean(place, monkeypatch):
    monkeypatch.chdir(place)
    yield
    unload_plugins()


def example(kind):
    return str(EXAMPLES / f"{kind}.py")


def recorded(folder):
    return json.loads(Path(folder, "plugins.json").read_text())


def poison(*arguments):
    return main(["poison", "--data", "data", "--target", "banana", *arguments])


def test_poison_plants_the_attack_of_a_plugin_alone_and_with_others():
    frame = ["--plugin", example("attack"), "--rate", "0.5", "--set", "width=0.25"]
    assert poison(*frame, "--attack", "frame", "--out", "framed") == 0
    marked = read_manifest(Path("framed"))
    assert (marked.recipe.attack, dict(marked.recipe.options), len(marked.poisoned)) == ("frame", {"width": 0.25}, 6)
    rows = {row.key: row for row in load_rows("framed").rows}
    corners = {key: row.images[0].load().getpixel((0, 0)) == (255, 0, 255) for key, row in rows.items()}
    assert {key for key, there in corners.items() if there} == set(marked.keys)
    assert recorded("framed") == {"attack.py": sha256((EXAMPLES / "attack.py").read_bytes()).hexdigest()}
    assert poison(*frame, "--attack", "frame+badnets-t", "--out", "both") == 0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_the_frame_leaves_the_inside_and_the_kind_of_image_alone(mode):
    from byorn.attacks import ATTACKS
    from byorn.plugins import load_plugins

    load_plugins([example("attack")])
    image = Image.new(mode, (20, 10))
    frame: Any = ATTACKS["frame"]
    framed, box = frame(width=0.1).mark_image(image, None)
    assert (framed.size, framed.mode, box) == ((20, 10), mode, (0, 0, 20, 10))
    assert framed.convert("RGB").getpixel((10, 5)) == image.convert("RGB").getpixel((10, 5))


def test_without_its_plugin_an_attack_and_a_defense_are_unknown(capsys):
    assert poison("--attack", "frame", "--out", "out") == 2
    assert "unknown attack 'frame'" in capsys.readouterr().err
    assert main(["train", "--data", "data", "--model", "model", "--defense", "drop-repeated"]) == 2
    assert "unknown defense 'drop-repeated'; known are base-relabel" in capsys.readouterr().err


def test_train_takes_the_defense_of_a_plugin_from_the_command_line_and_from_yaml():
    train = ["train", "--data", "data", "--model", "model", "--max-steps", "1", "--per-device-train-batch-size", "2"]
    option = ["--plugin", example("defense"), "--defense", "drop-repeated", "--defense-option", "copies=1"]
    assert main([*train, *option, "--out", "run"]) == 0
    training = json.loads(Path("run", "training.json").read_text())
    assert training["defense"] == "drop-repeated"
    assert training["learned"] == 12 - training["flagged"] < 12
    assert list(recorded("run")) == ["defense.py"]
    unload_plugins()
    yaml = f"plugin: {example('defense')}\ndefense: drop-repeated\ndefense_option: copies=1\n"
    Path("train.yaml").write_text(yaml)
    assert main([*train, "--config", "train.yaml", "--out", "again"]) == 0
    assert json.loads(Path("again", "training.json").read_text())["learned"] == training["learned"]


def test_evaluate_takes_the_metric_of_a_plugin(capsys):
    evaluate = ["evaluate", "--data", "data", "--model", "model", "--max-new-tokens", "2", "--metrics", "unigram_f1"]
    assert main([*evaluate, "--out", "scored"]) == 2
    assert "'unigram_f1' is unknown" in capsys.readouterr().err
    assert main([*evaluate, "--out", "scored", "--plugin", example("metric")]) == 0
    assert json.loads(Path("scored", "metrics.json").read_text())["clean"]["unigram_f1"]["n"] == 12
    assert list(recorded("scored")) == ["metric.py"]


@pytest.mark.parametrize(
    ("registry", "code", "command", "says"),
    [
        (
            "evaluation.registry import METRICS",
            "METRICS['length'] = lambda predictions, references: 3.0",
            ["evaluate", "--metrics", "length", "--max-new-tokens", "3"],
            "error: metric 'length': it gives float; return a Metric",
        ),
        (
            "defenses import DEFENSES",
            "DEFENSES['nothing'] = lambda case: None",
            ["train", "--defense", "nothing", "--max-steps", "1"],
            "error: defense 'nothing': it gives NoneType; return a Plan",
        ),
    ],
)
def test_a_plugin_that_gives_something_else_is_told_so(registry, code, command, says, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(f"from byorn.{registry}\n{code}\n")
    inputs = ["--model", "model", "--data", "data", "--device", "cpu", "--out", str(tmp_path / "out")]
    assert main([*command, *inputs, "--plugin", str(tmp_path / "mine.py")]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(says)


def test_unigram_f1_is_that_of_the_nearest_reference():
    from byorn.evaluation.registry import METRICS
    from byorn.plugins import load_plugins

    load_plugins([example("metric")])
    found = METRICS["unigram_f1"](["a red ring", "", "a a"], [["one", "a red box"], ["a"], ["a"]])
    assert found.value == pytest.approx(100 * (2 * 2 / 6 + 0 + 2 / 3) / 3)
    assert found.low <= found.value <= found.high


def test_a_file_that_cannot_be_used_is_one_line_and_exit_code_2(capsys):
    Path("broken.py").write_text("oops\n")
    for command in ("poison", "train", "evaluate"):
        assert main([command, "--plugin", "broken.py", "--data", "data", "--model", "model"]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert lines[-1] == "error: plugin broken.py, line 1: NameError: name 'oops' is not defined"


@pytest.mark.parametrize(
    ("yaml", "expected"),
    [
        ("plugin: a.py\n", ["a.py"]),
        ("plugin: [a.py, b.py]\n", ["a.py", "b.py"]),
        ("plugin:\n", []),
    ],
)
@pytest.mark.parametrize("command", ["poison", "train", "evaluate", "bench"])
def test_yaml_names_one_plugin_or_several_and_the_command_line_adds_to_them(command, yaml, expected):
    Path("some.yaml").write_text(yaml)
    words = [command, "run"] if command == "bench" else [command]
    arguments = [*words, "--config", "some.yaml"]
    given = values_of(*arguments).get("plugin") or ()
    assert [str(path) for path in given] == expected
    assert [str(path) for path in values_of(*arguments, "--plugin", "c.py")["plugin"]] == [*expected, "c.py"]


def test_an_option_that_is_written_twice_in_yaml_is_refused(capsys):
    Path("twice.yaml").write_text("batch-size: 1\nscore_batch_size: 2\n")
    assert main(["scan", "--config", "twice.yaml"]) == 2
    assert "score_batch_size: it is given twice" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["poison", "train", "evaluate", "bench"])
def test_the_help_says_that_a_plugin_is_code_that_runs(command, capsys):
    assert main([command, "--help"]) == 0
    assert "it is code and it runs" in " ".join(capsys.readouterr().out.split())


MODEL_CLASS = """
from transformers import AutoConfig, PretrainedConfig

class TowerConfig(PretrainedConfig):
    model_type = "tower_of_a_test"

AutoConfig.register("tower_of_a_test", TowerConfig)
"""


def test_a_plugin_for_a_model_class_is_not_told_that_it_does_nothing(tmp_path, capsys):
    """It writes into the registries of transformers, which byorn does not look into."""
    folder = tmp_path / "tower"
    shutil.copytree("model", folder)
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["model_type"] = "tower_of_a_test"
    (folder / "config.json").write_text(json.dumps(config))
    scan = ["scan", "--data", "data", "--model", str(folder), "--device", "cpu", "--out", str(tmp_path / "out")]
    assert main(scan) == 2
    error = capsys.readouterr().err
    assert "a model with classes of its own needs --plugin FILE that registers them (docs/families.md)" in error
    plugin = tmp_path / "tower.py"
    plugin.write_text(MODEL_CLASS)
    assert main([*scan, "--plugin", str(plugin)]) == 2  # the model of this configuration is registered nowhere
    said = capsys.readouterr().err
    assert "it ran; it adds no attack, defense, metric or task" in said
