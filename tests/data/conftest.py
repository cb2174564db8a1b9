"""Small pictures and data files, made in a temporary folder."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data_samples import png

os.environ["HF_HUB_OFFLINE"] = "1"

Save = Callable[..., Path]


@pytest.fixture
def picture(tmp_path: Path) -> Save:
    """Saves a one-colored picture under a name in the data folder."""

    def save(name: str = "red.png", color: str = "red") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(color))
        return path

    return save


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Saves records as JSON, or as JSONL where the name says so, in the data folder."""

    def write(records: Any, name: str = "data.json") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(record) + "\n" for record in records) if name.endswith("l") else json.dumps(records)
        path.write_text(lines, encoding="utf-8")
        return path

    return write
