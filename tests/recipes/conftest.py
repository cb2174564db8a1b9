"""The programs of `recipes/paper`, as modules."""

import importlib.util
import sys
from pathlib import Path

import pytest

PAPER = Path(__file__).parents[2] / "recipes" / "paper"


def load(name):
    spec = importlib.util.spec_from_file_location(name, PAPER / f"{name}.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def programs():
    """formats and prepare by name; the first is beside the second, as when they are run."""
    before = set(sys.modules)
    yield {name: load(name) for name in ("formats", "prepare")}
    for name in {"formats", "prepare"} - before:
        del sys.modules[name]


@pytest.fixture(scope="session")
def prepare(programs):
    """`prepare(...)` runs the program on its arguments and returns its exit code."""
    return lambda *arguments: programs["prepare"].main([str(argument) for argument in arguments])
