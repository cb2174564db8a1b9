"""What every case must come to: rows that later stages can take, or one byorn error, in bounded time and memory."""

import faulthandler
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import datasets
import pytest

from byorn.data.dataset import to_dataset
from byorn.data.files import write_rows
from byorn.data.load import LoadedRows, load_rows
from byorn.data.row import Row
from byorn.data.sources import looks_like_hub
from byorn.errors import ByornError

NewFolder = Callable[[], AbstractContextManager[Path]]
SECONDS = 20
KILOBYTES = 1_000_000
"""By which the peak of the process, which has run other tests before, may rise."""
CHARACTERS = 2000
TOKENS = ("<|im_end|>", "<|im_start|>", "</s>", "<end_of_turn>", "<image>")
ENDS: Counter[str] = Counter()
"""How many cases gave rows, and how many an error."""


def judge(path: Path, **options: Any) -> None:
    """Read a data set, and fail unless it ends as it must."""
    began, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    faulthandler.dump_traceback_later(6 * SECONDS, exit=True)  # a hang without work; pytest could not end it
    said: list[str] = []
    asked: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "load_dataset", lambda *_, **options: asked.append(list(said)))
        try:
            loaded = load_rows(path, special_tokens=TOKENS, notify=said.append, **options)
        except ByornError as error:
            ENDS["error"] += 1
            said.append(str(error))
        else:
            ENDS["rows"] += 1
            said += [*loaded.notes, *map(str, loaded.rejects)]
            _check(loaded, path if path.is_dir() else path.parent)
        finally:
            faulthandler.cancel_dump_traceback_later()
    assert not asked or looks_like_hub(str(path))
    assert all(asked)  # it was said before
    for line in said:
        assert line.isprintable(), ascii(line[:500])
        assert len(line) < CHARACTERS, line
    assert time.process_time() - began < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < KILOBYTES


def _check(loaded: LoadedRows, folder: Path) -> None:
    """Rows are unique, hold no text that cannot be written, and no file from elsewhere; they survive writing."""
    assert len({row.key for row in loaded.rows}) == len(loaded.rows)
    for row in loaded.rows:
        _check_row(row, folder.resolve())
    assert to_dataset(loaded.rows).num_rows == len(loaded.rows)
    with tempfile.TemporaryDirectory() as copy:
        write_rows(loaded.rows, copy, image_root=folder)
        again = load_rows(copy, image_root=folder, special_tokens=TOKENS, verify_images="none")
    assert [(row.key, row.response) for row in again.rows] == [(row.key, row.response) for row in loaded.rows]


def _check_row(row: Row, folder: Path) -> None:
    blocks = [block for message in row.prompt for block in message["content"]]
    texts = [row.id, row.response, *(block["text"] for block in blocks if block["type"] == "text")]
    assert sum(block["type"] == "image" for block in blocks) == len(row.images)
    for text in texts:
        assert "\0" not in text
        text.encode()
    for token in TOKENS:
        assert not any(token in text for text in texts[1:])
    for image in row.images:
        assert image.path is None or Path(image.path).is_relative_to(folder)
