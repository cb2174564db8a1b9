"""A tiny model on disk and rows in the shapes that TRL users have."""

import datasets
import pytest

from byorn.data.dataset import to_dataset
from byorn.testing import tiny_model, tiny_processor, tiny_rows

ROWS = 8


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """The folder of a tiny model with its processor: what a hub name is to a user."""
    folder = tmp_path_factory.mktemp("models") / "tiny-vlm"
    tiny_model().save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    return folder


@pytest.fixture
def canonical():
    """Rows with prompt, completion and images."""
    return to_dataset(tiny_rows(ROWS))


@pytest.fixture
def messages(canonical):
    """The same rows with `messages` and `images`, nothing else."""
    talk = {"messages": [row["prompt"] + row["completion"] for row in canonical]}
    features = datasets.Features({"messages": canonical.features["prompt"]})
    return datasets.concatenate_datasets(
        [datasets.Dataset.from_dict(talk, features=features), canonical.select_columns(["images"])], axis=1
    )
