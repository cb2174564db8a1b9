"""What all tests share: nothing reaches the network, one thread, and one tiny model for the whole session."""

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
    """Where its length is not what is tested."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path.name != "test_adaptation.py":
            shorten_scans(patch.setattr)
        yield
