"""What all tests share: nothing reaches the network, one thread, and one tiny model for the whole session."""

import gc
import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from collections.abc import Iterator
from typing import Any

import pytest

from browser import chromium, tab  # noqa: F401
from launching import shorten_scans


@pytest.fixture(scope="session")
def processor() -> Any:
    """The processor of the tiny model; copy it before you change it."""
    from byorn.testing import tiny_processor

    return tiny_processor()


@pytest.fixture(scope="session")
def model(processor: Any) -> Any:
    """A tiny LLaVA in eval mode; build your own with `tiny_model` before you change it."""
    import torch

    from byorn.testing import tiny_model

    torch.set_num_threads(1)
    return tiny_model(processor=processor)


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens must happen before a model is loaded."""

    def load(*arguments: Any, **options: Any) -> Any:
        pytest.fail("the model is loaded")

    monkeypatch.setattr("transformers.AutoModelForImageTextToText.from_pretrained", load)


@pytest.fixture(autouse=True, scope="module")
def short_scans(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where their length is not what is tested."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path.name != "test_adaptation.py":
            shorten_scans(patch.setattr)
        yield
    keep_apart()


def keep_apart() -> None:
    """What lives now, libraries most of all, is not walked through each time that a trainer collects garbage."""
    gc.collect()
    gc.freeze()


def pytest_collection_finish() -> None:
    keep_apart()


LONG = (
    "test_ranks.py", "test_several_processes.py", "test_network.py", "test_comparison.py", "test_kills.py",
    "test_bench_end_to_end.py", "test_families_end_to_end.py", "test_family_training.py", "test_end_to_end.py",
    "test_cell_resumed.py", "test_damaged_folders.py", "test_stopping.py", "test_workflow.py", "test_paper.py",
)  # fmt: skip
"""Files of many seconds, the longest first."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: a worker that gets one at the end keeps the others waiting (`--no-loadscope-reorder`)."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))
