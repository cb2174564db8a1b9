"""While the model works on a batch, the next one is read; what is scored is the same."""

import threading
from copy import deepcopy

import numpy as np
import pytest
from scoring_oracle import broken

from byorn.data.dataset import to_dataset
from byorn.scoring import scorer
from byorn.scoring.reader import Reader, reading
from byorn.scoring.score import score_dataset
from byorn.testing import tiny_rows

ROWS = 6


class Watched:
    """A data set that tells which rows were read, and by whom."""

    def __init__(self, dataset):
        self.dataset = dataset
        self.read = []
        self.come = threading.Condition()

    def __getitem__(self, index):
        with self.come:
            self.read.append((index, threading.current_thread() is threading.main_thread()))
            self.come.notify_all()
        return self.dataset[index]

    def wait_for(self, index):
        with self.come:
            assert self.come.wait_for(lambda: any(row == index for row, _ in self.read), timeout=30)


@pytest.fixture
def watched():
    return Watched(to_dataset(tiny_rows(ROWS)))


def test_the_next_batch_is_read_meanwhile_and_no_further_one(watched, processor):
    with reading(processor, watched) as reader:
        reader.expect([[0, 1], [2, 3], [4, 5]])
        assert [name["id"] for name in reader.take([0, 1]).names] == ["row-0", "row-1"]
        watched.wait_for(3)  # nobody has asked for it
    assert watched.read == [(row, False) for row in range(4)]


def test_several_threads_read_several_batches_each_with_a_processor_of_its_own(watched, processor, monkeypatch):
    """A tokenizer that two threads use at once fails."""
    monkeypatch.setattr("byorn.scoring.reader.BATCHES_A_THREAD", 1)
    at_once, met = set(), threading.Barrier(2, timeout=30)

    def collate(collator, samples):
        at_once.add(id(collator.processor))
        met.wait()  # until another one is as far
        return samples

    monkeypatch.setattr("byorn.scoring.reader.collated", collate)
    with reading(processor, watched, threads=2) as reader:
        reader.expect([[0], [1], [2], [3]])
        taken = [reader.take([row]).names[0]["id"] for row in range(4)]
    assert taken == ["row-0", "row-1", "row-2", "row-3"]
    assert len(at_once) == 2
    assert id(processor) not in at_once


def test_few_batches_are_read_by_one_thread(watched, processor):
    with reading(processor, watched, threads=4) as reader:
        reader.expect([[0, 1], [2, 3], [4, 5]])
        reader.take([0, 1])
        watched.wait_for(3)
    assert max(row for row, _ in watched.read) == 3


def test_what_was_not_expected_is_read_when_it_is_taken(watched, processor):
    with reading(processor, watched) as reader:
        reader.expect([[0, 1], [2, 3]])
        reader.take([0, 1])
        reader.take([1])  # a half of one that failed
        assert (1, True) in watched.read
        reader.take([2, 3])
    assert [row for row, _ in watched.read].count(2) == 1


def test_a_new_expectation_takes_the_place_of_the_old_one_and_no_further_copy(watched, processor, monkeypatch):
    copies = []
    monkeypatch.setattr("byorn.scoring.reader.deepcopy", lambda one: copies.append(one) or deepcopy(one))
    with reading(processor, watched) as reader:
        reader.expect([[0], [1]])
        reader.expect([[2], [3]])
        for row in (2, 3):
            assert reader.take([row]).names[0]["id"] == f"row-{row}"
    assert {(2, False), (3, False)} <= set(watched.read)
    assert len(copies) == 1


def test_a_row_that_cannot_be_read_fails_where_it_is_taken(processor):
    with reading(processor, to_dataset([*tiny_rows(2), broken("lost")])) as reader:
        reader.expect([[0, 1], [2]])
        reader.take([0, 1])
        with pytest.raises(Exception, match="cannot identify"):
            reader.take([2])


def test_scores_are_those_of_rows_that_are_read_one_after_the_other(model, processor, monkeypatch):
    rows = to_dataset([*tiny_rows(ROWS), broken("lost")])
    monkeypatch.setattr("byorn.scoring.reader.BATCHES_A_THREAD", 1)
    ahead = score_dataset(model, deepcopy(processor), rows, batch_size=2)
    monkeypatch.setattr(Reader, "expect", lambda reader, batches: None)
    plain = score_dataset(model, processor, rows, batch_size=2)
    assert np.array_equal(ahead.nll, plain.nll, equal_nan=True)
    assert [bool(reason) for reason in ahead.reasons] == [bool(reason) for reason in plain.reasons]


def test_a_scorer_that_fails_leaves_no_thread(model, processor, monkeypatch):
    def lost(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(scorer, "tokens_of", lost)
    with pytest.raises(KeyboardInterrupt):
        score_dataset(model, processor, to_dataset(tiny_rows(ROWS)), batch_size=2)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("byorn-reader")]
