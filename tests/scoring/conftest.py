"""What the tests of scoring share."""

from typing import Any

import pytest

from byorn.scoring.reader import Reader


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the rows that are read for the model."""
    ids: list[str] = []
    real = Reader.take

    def counting(reader: Any, batch: Any) -> Any:
        read = real(reader, batch)
        ids.extend(name["id"] for name in read.names)
        return read

    monkeypatch.setattr(Reader, "take", counting)
    return ids
