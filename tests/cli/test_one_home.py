"""A setting has one home, and however it is given it reaches training, the report, the card and the configuration
alike.
"""

import ast
import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from byorn.cli.main import COMMANDS, main
from byorn.data.files import write_rows
from byorn.flagging.settings import FlagSettings
from byorn.models.spec import LoraSpec, ModelSpec
from byorn.pipeline.settings.common import Answering
from byorn.pipeline.settings.evaluate import EvaluateSpec
from byorn.settings import settings_of
from byorn.testing import save_tiny, tiny_rows
from byorn.training.settings import ByornSettings, EngineSettings, ResponseSettings, TrainerOptions

SOURCE = Path(str(import_module("byorn").__file__)).parent
DEMO = "DemoSpec"
"""The demo is an experiment: it says what its one attack and training are, as an experiment file does."""
SEPARATE = {
    "seed": "of an attack, and of training",
    "rate": "of the one attack of a poisoned copy, and of each of a simulation",
    "adapter": "what is measured, and what is uploaded",
    "format": "of rows, and of tables and plots",
    "rows": "that are asked about, and that are made to measure with",
}


def test_no_option_is_declared_in_two_classes():
    homes: dict[str, set[str]] = {}
    for name in COMMANDS:
        command = import_module(f"byorn.cli.{name}").COMMAND
        for kind in (kind for own in (command, *command.parts.values()) for kind in own.settings):
            for option, item, _ in settings_of(kind):
                owner = next(cls for cls in reversed(kind.__mro__) if item.name in getattr(cls, "__annotations__", {}))
                homes.setdefault(option, set()).add(owner.__name__)
    twice = {option: kinds - {DEMO} for option, kinds in homes.items() if len(kinds - {DEMO}) > 1}
    assert twice.keys() == SEPARATE.keys(), twice


ELSEWHERE = {
    ("bench/demo.py", DEMO, "percentile"): "the demo's own choice for a model this small",
    ("bench/demo.py", DEMO, "learning_rate"): "the demo's own choice for a model this small",
    ("bench/demo.py", DEMO, "ema_decay"): "the demo's own choice for a model this small",
    ("attacks/triggers/blended.py", "Blended", "alpha"): "opacity of a trigger, not the scale of LoRA",
    ("attacks/triggers/vl_trojan.py", "VLTrojan", "alpha"): "opacity of a trigger, not the scale of LoRA",
    ("embedded/architecture.py", "build_model", "vision"): "the size of the embedded model's tower",
    ("pipeline/settings/hub.py", "PushSpec", "adapter"): "what is uploaded, not what is measured",
    ("pipeline/settings/rewrite.py", "RewriteSpec", "adapter"): "whose responses are used, not what is measured",
    ("pipeline/settings/verify.py", "VerifySpec", "adapter"): "with another default: the one of the run",
}


KINDS = (
    FlagSettings, EngineSettings, ResponseSettings, ByornSettings, TrainerOptions, ModelSpec, LoraSpec, EvaluateSpec,
    Answering,
)  # fmt: skip


def test_no_default_is_declared_in_two_places():
    """Neither as a dataclass field nor as a keyword of a function; None and False say that nothing was asked for."""
    homes: dict[str, set[str]] = {}
    for kind in KINDS:
        for _, item, _ in settings_of(kind):
            homes.setdefault(item.name, set()).add(kind.__name__)
    for vague in ("name", "seed", "batch_size"):
        del homes[vague]
    found = {
        (path.relative_to(SOURCE).as_posix(), owner, name)
        for path in SOURCE.rglob("*.py")
        for owner, name, default in _defaults(ast.parse(path.read_text()))
        if name in homes and owner not in homes[name] and not _says_nothing(default, homes[name])
    }
    assert found == ELSEWHERE.keys()


def _defaults(tree: ast.AST) -> Iterator[tuple[str, str, ast.expr]]:
    """Class or function, name and default of each field and argument."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value:
                    yield node.name, line.target.id, line.value
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = node.args
            positional = [*given.posonlyargs, *given.args]
            pairs: list[tuple[ast.arg, ast.expr | None]] = [
                *zip(reversed(positional), reversed(given.defaults), strict=False)
            ]
            pairs += [*zip(given.kwonlyargs, given.kw_defaults, strict=True)]
            yield from ((node.name, argument.arg, default) for argument, default in pairs if default)


def _says_nothing(default: ast.expr, homes: set[str]) -> bool:
    if isinstance(default, ast.Constant):
        return default.value is None or default.value is False
    return isinstance(default, ast.Attribute) and ast.unparse(default.value) in homes | {"ByornSettings"}


def test_no_option_is_declared_by_hand():
    found = {
        (path.relative_to(SOURCE).as_posix(), call.args[0].value)
        for path in SOURCE.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("add_argument")
        if call.args and isinstance(call.args[0], ast.Constant)
    }
    assert found == {("cli/arguments.py", "--config"), ("cli/arguments.py", "--set")}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    save_tiny(folder / "model")
    write_rows(tiny_rows(20), folder / "data")
    return folder


OPTIONS = [
    "--rule",
    "paper",
    "--percentile",
    "0.9",
    "--learning-rate",
    "3e-4",
    "--dtype",
    "bfloat16",
    "--lora-rank",
    "4",
    "--max-length",
    "900",
]
WAYS = {
    "options": (OPTIONS, ""),
    "aliases": ([*OPTIONS[:4], "--lr", "3e-4", *OPTIONS[6:]], ""),
    "set": (
        [word for pair in zip(OPTIONS[::2], OPTIONS[1::2], strict=True) for word in ("--set", "=".join(pair)[2:])],
        "",
    ),
    "yaml": ([], "rule: paper\npercentile: 0.9\nlearning-rate: 3e-4\ndtype: bfloat16\nlora_rank: 4\nmax_length: 900\n"),
    "aliases in yaml": ([], "rule: paper\npercentile: 0.9\nlr: 3e-4\ndtype: bfloat16\nlora_rank: 4\nmax_length: 900\n"),
    "keys of TRL": (
        [],
        "rule: paper\npercentile: 0.9\nlearning_rate: 3e-4\ntorch_dtype: bfloat16\nlora_r: 4\nmax_seq_length: 900\n",
    ),
    "keys of LLaMA-Factory": (
        [],
        "rule: paper\npercentile: 0.9\nlearning_rate: 3e-4\ndtype: bfloat16\nlora_rank: 4\ncutoff_len: 900\n",
    ),
    "option before yaml": (OPTIONS, "percentile: 0.2\nlearning_rate: 1\nlora_rank: 2\nmax_length: 100\n"),
    "option before set": ([*OPTIONS, "--set", "percentile=0.2", "--set", "lr=1", "--set", "lora_rank=2"], ""),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_setting_means_the_same_in_whatever_way_it_is_given(way, place):
    options, text = WAYS[way]
    out = place / way.replace(" ", "-")
    (place / "run.yaml").write_text(text or "{}")
    rest = (
        f"--max-steps 1 --batch-size 4 --device cpu --scan none --set max_response_tokens=2 --config {place}/run.yaml"
    )
    run = f"train --model {place}/model --data {place}/data --out {out} {rest}"
    assert main([*run.split(), *options]) == 0
    report = json.loads((out / "training.json").read_text())
    config = yaml.safe_load((out / "config.yaml").read_text())
    adapter = json.loads((out / "adapter" / "adapter_config.json").read_text())
    card = (out / "adapter" / "README.md").read_text()
    assert report["rule"] == "percentile(p=0.9)"
    assert 0 < report["flagged"] <= 2  # of 20; scores in bfloat16 may tie
    for name, value in {"percentile": 0.9, "learning_rate": 3e-4}.items():
        assert report["arguments"][name] == config["resolved"][name] == config["train"]["arguments"][name] == value
        assert str(value) in card
    assert (config["model"]["dtype"], config["data"]["max_length"]) == ("bfloat16", 900)
    assert config["train"]["lora"]["rank"] == adapter["r"] == 4
    assert config["resolved"]["max_length"] is None


@pytest.mark.parametrize("given", [["--max-length", "5"], ["--set", "max_length=5"]])
def test_a_longest_row_rejects_and_never_cuts(given, place, capsys):
    command = ["train", "--model", str(place / "model"), "--data", str(place / "data"), "--out", str(place / "long")]
    assert main([*command, *given]) == 2
    assert "every row is over 5 tokens" in capsys.readouterr().err
