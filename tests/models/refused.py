"""What a user sees where something is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from byorn.errors import ModelError


def refusal(load: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """The one line that a user sees."""
    with pytest.raises(ModelError) as error:
        load(*args, **kwargs)
    line = str(error.value)
    assert "\n" not in line
    assert len(line) < 500
    return line
