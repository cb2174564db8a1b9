"""A user's file takes part by name: what loading does, and how it fails."""

import hashlib
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from byorn.attacks import ATTACKS
from byorn.attacks.poison import poison_dataset
from byorn.attacks.recipe import Recipe
from byorn.bench.tasks import TASKS
from byorn.defenses import DEFENSES
from byorn.errors import ConfigError
from byorn.evaluation.registry import METRICS
from byorn.plugins import load_plugins, unload_plugins
from byorn.testing import tiny_rows

EXAMPLES = Path(__file__).parents[1] / "examples" / "plugins"
METRIC = "from byorn.evaluation.registry import METRICS\n"
LENGTH = METRIC + "def length(predictions, references):\n    return {value}\n\n\nMETRICS['length'] = length\n"


@pytest.fixture(autouse=True)
def clean():
    yield
    unload_plugins()


@pytest.fixture
def plugin(tmp_path):
    def write(text, name="mine.py"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_every_example_is_known_by_its_name_until_it_is_unloaded(capsys):
    paths = [EXAMPLES / f"{kind}.py" for kind in ("attack", "defense", "metric", "task")]
    digests = load_plugins(paths)
    assert digests == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    assert "attack.py: attack frame" in capsys.readouterr().err
    entries: dict[str, Any] = {"frame": ATTACKS, "drop-repeated": DEFENSES, "unigram_f1": METRICS, "list-shapes": TASKS}
    assert all(name in registry for name, registry in entries.items())
    unload_plugins()
    assert not any(name in registry for name, registry in entries.items())


def test_a_file_is_run_once_and_again_after_an_edit(plugin):
    path = plugin(LENGTH.format(value=1))
    load_plugins([path])
    first = METRICS["length"]
    load_plugins([path, path])
    assert METRICS["length"] is first
    plugin(LENGTH.format(value=2))
    load_plugins([path])
    found: list[Any] = [first([], []), METRICS["length"]([], [])]
    assert found == [1, 2]
    assert not list(path.parent.glob("__pycache__"))


def test_what_a_plugin_defines_can_be_pickled_and_read_in_another_process(plugin, tmp_path):
    path = plugin(LENGTH.format(value=7))
    load_plugins([path])
    (tmp_path / "length.pickle").write_bytes(pickle.dumps(METRICS["length"]))
    code = "import pickle, sys; from byorn.plugins import load_plugins; load_plugins(['mine.py'])\n"
    code += "print(pickle.load(open('length.pickle', 'rb'))([], []), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["7", "False"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import math\n\n1 / 0\n", "plugin mine.py, line 3: ZeroDivisionError: division by zero"),
        ("def f():\n    raise KeyError('x')\n\n\nf()\n", "plugin mine.py, line 2: KeyError: 'x'"),
        ("import nowhere.at.all\n", "plugin mine.py, line 1: ModuleNotFoundError: No module named 'nowhere'"),
        ("raise SystemExit(3)\n", "plugin mine.py, line 1: SystemExit: 3"),
        ("x = 1\nx = = 2\n", "plugin mine.py, line 2: no valid Python: invalid syntax"),
        (b"\x89PNG\x00\xff", "plugin mine.py"),
        (METRIC + "METRICS['cider'] = len\n", "plugin mine.py: metric 'cider' is taken, by byorn itself; choose"),
        (METRIC + "del METRICS['cider']\n", "plugin mine.py: metric 'cider' is taken, by byorn itself; choose"),
        (METRIC + "METRICS['length'] = 3\n", "plugin mine.py: metric 'length' is not a function"),
        (
            "from byorn.attacks import *\nATTACKS['b'] = BadNets\n",
            "attack 'b' is not a subclass of Trigger whose `name`",
        ),
    ],
)
def test_a_file_that_fails_is_one_line_and_leaves_nothing_behind(plugin, text, says):
    path, before, modules = plugin(text), (dict(METRICS), dict(ATTACKS)), set(sys.modules)
    with pytest.raises(ConfigError) as caught:
        load_plugins([path])
    assert str(caught.value).startswith("plugin mine.py")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert before == (METRICS, ATTACKS)
    assert not [name for name in set(sys.modules) - modules if name.startswith("byorn_plugin")]


TRIGGER = """from byorn.attacks import ATTACKS, Trigger
class Dot(Trigger):
    name = "dot"
    {needs}
    def {method}:
        return {given}
ATTACKS["dot"] = Dot
"""


@pytest.mark.parametrize(
    "parts", [{"method": "mark(self)", "needs": ""}, {"method": "mark_image(self, image, rng)", "needs": ""}]
)
def test_a_trigger_that_would_mark_nothing_is_refused(plugin, parts):
    """It would be poison without a trigger, and nobody would see."""
    with pytest.raises(ConfigError, match=r"'dot' is not .* mark_image \(and needs_image = True\) or a mark_text"):
        load_plugins([plugin(TRIGGER.format(given="image, None", **parts))])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("image", "mark_image gives Image, and not a pair"),
        ("None", "mark_image gives NoneType, and not a pair"),
        ("image.resize((2, 2)), None", r"mark_image gives an image of \(2, 2\) RGB, from one of"),
        ("image.convert('L'), None", "mark_image gives an image of .* L, from one of .* RGB; return the changed copy"),
    ],
)
def test_a_trigger_that_gives_something_else_than_image_and_box_is_told_so(plugin, tmp_path, given, says):
    load_plugins(
        [plugin(TRIGGER.format(method="mark_image(self, image, rng)", needs="needs_image = True", given=given))]
    )
    with pytest.raises(ConfigError, match=f"attack 'dot': {says}"):
        poison_dataset(tiny_rows(4), Recipe(attack="dot", target="banana", rate=0.5), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_trigger_that_gives_no_instruction_writes_no_data_set(plugin, tmp_path):
    """A forgotten `return`: its rows would have no text, and nothing could read them."""
    load_plugins([plugin(TRIGGER.format(method="mark_text(self, text, rng)", needs="", given="None"))])
    with pytest.raises(ConfigError, match="attack 'dot': mark_text gives NoneType; return the triggered instruction"):
        poison_dataset(tiny_rows(4), Recipe(attack="dot", target="banana", rate=0.5), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


OBJECTIVE = """from byorn.attacks import OBJECTIVES, Objective
OBJECTIVES["mine"] = Objective(lambda row, goal, rng: {given})
"""


@pytest.mark.parametrize(("given", "says"), [("None", "NoneType"), ("' '", "an empty text")])
def test_an_objective_that_gives_no_response_writes_no_data_set(plugin, tmp_path, given, says):
    load_plugins([plugin(OBJECTIVE.format(given=given))])
    recipe = Recipe(attack="badnets", objective="mine", target="banana", rate=0.5)
    with pytest.raises(ConfigError, match=f"objective 'mine': it gives {says}; return the response"):
        poison_dataset(tiny_rows(4), recipe, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_missing_or_no_python_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.py: No such file"):
        load_plugins([tmp_path / "nowhere.py"])
    with pytest.raises(ConfigError, match=r"not a Python file; its name must end in \.py"):
        load_plugins([tmp_path])
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(ConfigError, match=r"folder\.py: Is a directory"):
        load_plugins([tmp_path / "folder.py"])


def test_two_plugins_do_not_take_each_others_name(plugin, tmp_path):
    load_plugins([plugin(LENGTH.format(value=1))])
    with pytest.raises(ConfigError, match=r"other\.py: metric 'length' is taken, by mine\.py"):
        load_plugins([plugin(LENGTH.format(value=1), "other.py")])
    (tmp_path / "sub").mkdir()
    with pytest.raises(ConfigError, match=r"another one is called mine\.py too"):
        load_plugins([tmp_path / "mine.py", plugin("", "sub/mine.py")])
