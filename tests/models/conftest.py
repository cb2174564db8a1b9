"""What tests of models share."""

import pytest
from store_runs import Run, files


@pytest.fixture
def stored(tmp_path):
    """A folder with the features of pictures 1 to 3, and what they are."""
    run = Run(tmp_path)
    features = run.look(1, 2, 3)
    assert run.end().seen == 3
    assert len(files(tmp_path)) == 1
    return tmp_path, features
