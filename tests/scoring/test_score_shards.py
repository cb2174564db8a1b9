"""Several processes score a data set together: each its shard, and together the scores of one."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from byorn.data.dataset import to_dataset
from byorn.errors import ByornError, MismatchError
from byorn.runs import stage
from byorn.runs.batches import WHOLE, Shard, shard_batches
from byorn.runs.journal import Journal
from byorn.runs.sealed import sealed_line
from byorn.runs.stage import all_records, fill, open_journal
from byorn.scoring.passes import FIELDS, pretrained_pass
from byorn.scoring.score import score_dataset
from byorn.scoring.statistics import STATISTICS
from byorn.scoring.table import from_records
from byorn.testing import tiny_rows

IDENTITY = {"data": "d", "model_digest": "m", "processor_digest": "p"}
ROWS = 11


@pytest.fixture(scope="module")
def dataset() -> Any:
    return to_dataset(tiny_rows(ROWS))


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """`process(index, of)`: from here on this is that process of a run in `tmp_path`; its journal."""

    def become(index: int, of: int) -> Journal:
        monkeypatch.setenv("RANK", str(index))
        monkeypatch.setenv("WORLD_SIZE", str(of))
        return open_journal(tmp_path / "scores.parquet", IDENTITY, FIELDS)

    return become


def score_shard(model: Any, processor: Any, dataset: Any, log: Journal, shard: Shard, batch_size: int) -> None:
    scoring_pass = pretrained_pass(model, processor, dataset)
    with scoring_pass.using as compute:
        fill(log, scoring_pass.order, batch_size, compute, shard=shard)


@pytest.mark.parametrize("of", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("size", [1, 3, 8])
def test_every_row_has_one_process_whatever_is_finished(of: int, size: int) -> None:
    order = list(range(20))[::-1]
    for finished in (set(), {19, 3, 4, 5}, set(range(20))):
        found = [
            row
            for index in range(of)
            for batch in shard_batches(order, size, Shard(index, of), finished)
            for row in batch
        ]
        assert sorted(found) == sorted(set(order) - finished)
    whole = shard_batches(order, size, WHOLE)
    assert all(batch in whole for index in range(of) for batch in shard_batches(order, size, Shard(index, of)))


def test_shards_are_equal_to_within_the_longest_batch() -> None:
    lengths = [2**10 // (row + 1) for row in range(101)]
    work = [
        sum(lengths[row] for batch in shard_batches(range(101), 4, Shard(index, 4)) for row in batch)
        for index in range(4)
    ]
    assert max(work) - min(work) <= sum(lengths[:4])


@pytest.mark.parametrize("of", [2, 4])
def test_shards_together_are_the_scores_of_one_process_to_the_last_bit(
    model: Any, processor: Any, dataset: Any, process: Any, of: int
) -> None:
    for index in reversed(range(of)):
        with process(index, of) as log:
            score_shard(model, processor, dataset, log, Shard(index, of), batch_size=4)
            assert len(log.finished) == ROWS or index  # the first one found what the others had written
    together = from_records(all_records(log, ROWS), IDENTITY)
    alone = score_dataset(model, processor, dataset, batch_size=4)
    for name in STATISTICS:
        np.testing.assert_array_equal(together.values[name], alone.values[name])
    assert (together.keys, together.tokens.tolist()) == (alone.keys, alone.tokens.tolist())


@pytest.mark.parametrize("of", [1, 2, 5])
def test_a_run_of_three_that_was_killed_goes_on_with_another_number_and_does_nothing_twice(
    model: Any, processor: Any, dataset: Any, process: Any, seen: list[str], tmp_path: Path, of: int
) -> None:
    with process(0, 3) as log:
        score_shard(model, processor, dataset, log, Shard(0, 3), batch_size=2)
    with process(2, 3) as log:
        score_shard(model, processor, dataset, log, Shard(2, 3), batch_size=2)
    torn = tmp_path / "scores.partial.2.jsonl"
    torn.write_bytes(torn.read_bytes()[:-7])
    before = seen.copy()
    seen.clear()
    for index in reversed(range(of)):
        with process(index, of) as log:
            score_shard(model, processor, dataset, log, Shard(index, of), batch_size=2)
    lost = before[-1]  # the torn line
    assert sorted(seen) == sorted({row.id for row in tiny_rows(ROWS)} - set(before) | {lost})
    alone = score_dataset(model, processor, dataset, batch_size=2)
    np.testing.assert_allclose(from_records(all_records(log, ROWS), {}).nll, alone.nll, atol=1e-5)
    log.discard()
    assert not list(tmp_path.glob("scores.partial*"))


def test_the_file_of_another_process_is_read_and_left_alone(process: Any, tmp_path: Path) -> None:
    record = {"id": "a", "turn": 0, **dict.fromkeys(STATISTICS, 1.0), "tokens": 1, "reason": None}
    with process(1, 2) as log:
        log.add(5, record)
    path = tmp_path / "scores.partial.1.jsonl"
    line = sealed_line({"index": 6, **record, "id": "b"}).encode()
    path.write_bytes(path.read_bytes() + line[:20])  # it is writing just now
    before = path.read_bytes()
    with process(0, 2) as log:
        assert (list(log.finished), path.read_bytes()) == ([5], before)
        path.write_bytes(before + line[20:])
        assert log.catch_up() == 2
        assert log.finished[6]["id"] == "b"


def test_the_file_of_a_run_on_other_data_is_refused(process: Any, tmp_path: Path) -> None:
    (tmp_path / "scores.partial.1.jsonl").write_text(sealed_line({**IDENTITY, "data": "another"}))
    with pytest.raises(MismatchError, match=r"scores.partial.1.jsonl: the data set changed"):
        process(0, 2)


def test_the_first_process_waits_while_others_write_and_not_for_ever(
    process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "PATIENCE", 0.3)
    monkeypatch.setattr(stage, "POLL", 0.01)
    record = {"id": "a", "turn": 0, **dict.fromkeys(STATISTICS, 1.0), "tokens": 1, "reason": None}
    pause = threading.Event()

    def write(other: Journal) -> None:
        for index in range(5):
            pause.wait(0.15)  # in all longer than the patience
            other.add(index, record)
            other.flush()

    with process(1, 2) as other, process(0, 2) as mine:
        thread = threading.Thread(target=write, args=[other])
        thread.start()
        assert len(all_records(mine, 5)) == 5
        thread.join()
        with pytest.raises(ByornError, match="no process has finished a batch") as refusal:
            all_records(mine, 6)
    assert "\n" not in str(refusal.value)
