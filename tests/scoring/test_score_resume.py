"""A killed run goes on where it stopped, and never with the rows of another data set or model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from byorn.data.dataset import to_dataset
from byorn.errors import MismatchError
from byorn.runs.journal import Journal
from byorn.runs.sealed import opened_line, sealed_line
from byorn.scoring.score import FIELDS, score_dataset
from byorn.scoring.statistics import STATISTICS
from byorn.testing import tiny_rows
from launching import python

IDENTITY = {"data": "d", "model_digest": "m", "processor_digest": "p"}
KILLED_IN_THE_THIRD_BATCH = f"""
import os, signal, sys
from pathlib import Path
import torch
from byorn.data.dataset import to_dataset
from byorn.scoring import score, scorer
from byorn.testing import tiny_model, tiny_processor, tiny_rows

torch.set_num_threads(1)
real, calls = scorer.tokens_of, []

def dying(*args):
    calls.append(args)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args)

scorer.tokens_of = dying
processor = tiny_processor()
dataset, model = to_dataset(tiny_rows(7)), tiny_model(processor=processor)
score.score_dataset(model, processor, dataset, batch_size=2, metadata={IDENTITY!r}, journal=Path(sys.argv[1]))
"""


def record(name: str, nll: float = 1.5) -> dict[str, Any]:
    """A finished row."""
    return {"id": name, "turn": 0, **dict.fromkeys(STATISTICS, nll), "tokens": 3, "reason": None}


def test_a_killed_run_goes_on_and_gives_the_same_scores(
    model: Any, processor: Any, tmp_path: Path, seen: list[str]
) -> None:
    journal, dataset = tmp_path / "scores.partial.jsonl", to_dataset(tiny_rows(7))
    killed = python("-c", KILLED_IN_THE_THIRD_BATCH, str(journal), cwd=tmp_path)
    assert killed.returncode == -9, killed.stderr[-2000:]
    finished = [json.loads(line)["id"] for line in journal.read_text().splitlines()[1:]]
    assert len(finished) == 4
    resumed = score_dataset(model, processor, dataset, batch_size=2, metadata=IDENTITY, journal=journal)
    assert sorted(seen) == sorted({row.id for row in tiny_rows(7)} - set(finished))
    whole = score_dataset(model, processor, dataset, batch_size=2, metadata=IDENTITY)
    np.testing.assert_array_equal(resumed.nll, whole.nll)
    assert (resumed.keys, resumed.metadata) == (whole.keys, whole.metadata)
    assert len(journal.read_text().splitlines()) == 1 + 7  # the caller deletes it once the scores are written


def test_a_row_that_had_failed_is_not_tried_again(model: Any, processor: Any, tmp_path: Path, seen: list[str]) -> None:
    path = tmp_path / "journal"
    with Journal(path, IDENTITY, FIELDS) as log:
        log.add(1, {**record("row-1", float("nan")), "reason": "broken image"})
    scores = score_dataset(model, processor, to_dataset(tiny_rows(2)), metadata=IDENTITY, journal=path)
    assert seen == ["row-0"]
    assert (scores.reasons, np.isnan(scores.nll).tolist()) == ([None, "broken image"], [False, True])


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_cut_last_line_is_scored_again(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal"
    with Journal(path, IDENTITY, FIELDS) as log:
        for index in range(3):
            log.add(index, record(f"row-{index}"))
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(path, IDENTITY, FIELDS) as log:
        assert sorted(log.finished) == [0, 1]
        log.add(2, record("row-2"))
    with Journal(path, IDENTITY, FIELDS) as log:
        assert log.finished == {index: record(f"row-{index}") for index in range(3)}


@pytest.mark.parametrize("cut", [5, 1])
def test_a_cut_first_line_starts_anew(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal"
    path.write_text(sealed_line(IDENTITY)[:-cut])
    with Journal(path, IDENTITY, FIELDS) as log:
        assert log.finished == {}
    assert opened_line(path.read_text()) == IDENTITY


@pytest.mark.parametrize("line", [b"\x00\x00\x00\n", b"[1, 2]\n", b"\xff{}\n", b"nonsense\n"])
def test_what_follows_a_broken_line_is_scored_again(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "journal"
    with Journal(path, IDENTITY, FIELDS) as log:
        log.add(0, record("row-0"))
    good = path.read_bytes()
    path.write_bytes(good + line + sealed_line({"index": 1, **record("row-1")}).encode())
    with Journal(path, IDENTITY, FIELDS) as log:
        assert sorted(log.finished) == [0]
    assert path.read_bytes() == good


def test_records_with_other_statistics_are_scored_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    old = {"index": 0, "id": "row-0", "turn": 0, "nll": 1.0, "tokens": 3, "reason": None}
    path.write_text(sealed_line(IDENTITY) + sealed_line(old))
    with Journal(path, IDENTITY, FIELDS) as log:
        assert log.finished == {}


def test_a_changed_digit_is_said_and_scored_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "journal"
    with Journal(path, IDENTITY, FIELDS) as log:
        for index in range(3):
            log.add(index, record(f"row-{index}", 1.25))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:2], lines[2].replace("1.25", "1.35"), *lines[3:]]))
    with Journal(path, IDENTITY, FIELDS) as log:
        assert log.finished == {0: record("row-0", 1.25)}
    assert "2 line(s) are damaged or follow a damaged one" in capsys.readouterr().err


@pytest.mark.parametrize("index", ["0", 1.5, None, [0]])
def test_a_record_of_no_row_is_not_taken(tmp_path: Path, index: object) -> None:
    path = tmp_path / "journal"
    path.write_text(sealed_line(IDENTITY) + sealed_line({"index": index, **record("row-0")}))
    with Journal(path, IDENTITY, FIELDS) as log:
        assert log.finished == {}


@pytest.mark.parametrize("name", ["row\x00", "line\nbreak\r\u2028", "\ud800", "\x1b[31m", "緑" * 10_000])
def test_hostile_ids_survive_the_journal(tmp_path: Path, name: str) -> None:
    path = tmp_path / "journal"
    with Journal(path, IDENTITY, FIELDS) as log:
        log.add(0, record(name))
        log.add(1, record("next"))
    with Journal(path, IDENTITY, FIELDS) as log:
        assert [log.finished[index]["id"] for index in (0, 1)] == [name, "next"]


@pytest.mark.parametrize(
    ("other", "words"), [("data", "data set"), ("model_digest", "the model"), ("processor_digest", "template")]
)
def test_a_journal_of_another_run_is_refused_and_left_alone(tmp_path: Path, other: str, words: str) -> None:
    path = tmp_path / "journal"
    with Journal(path, IDENTITY, FIELDS) as log:
        log.add(0, record("row-0"))
    before = path.read_bytes()
    with pytest.raises(MismatchError, match=words) as refusal:
        Journal(path, {**IDENTITY, other: "another"}, FIELDS)
    assert path.read_bytes() == before
    assert "\n" not in str(refusal.value)
