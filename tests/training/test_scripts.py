"""A `ByornTrainer` in a script without flags: it says whom it flags, keeps that, and finds it when the script runs
again.
"""

from dataclasses import replace

import pytest
from runner import settings

import byorn.training.scoring
from byorn.data.dataset import to_dataset
from byorn.errors import MismatchError
from byorn.flagging.table import read_flags, write_flags
from byorn.scoring.table import read_scores
from byorn.testing import tiny_model, tiny_processor, tiny_rows
from byorn.training.trainer import ByornTrainer

ROWS = 10


def script(folder, *, rows=None, seed=0, max_steps=2, rule="paper", **changes):
    """The lines that a user's script would have, with the paper's rule."""
    processor = tiny_processor()
    return ByornTrainer(
        tiny_model(processor=processor, seed=seed), settings(folder, max_steps=max_steps, rule=rule, **changes),
        processing_class=processor,
        train_dataset=to_dataset(rows or tiny_rows(ROWS)),
    )  # fmt: skip


@pytest.fixture
def no_scoring(monkeypatch):
    def fail(*args, **options):
        raise AssertionError("scored again")

    return lambda: monkeypatch.setattr(byorn.training.scoring, "score_together", fail)


def test_it_says_whom_it_flags_and_keeps_scores_and_flags(tmp_path, capsys):
    trainer = script(tmp_path)
    said = capsys.readouterr().err
    assert "scored 10 rows in" in said
    assert f"flagged 4 of 10 rows: score above {trainer.flags.threshold:.3f} nats a token (percentile(p=0.6))" in said
    assert read_scores(tmp_path / "scores.parquet").nll.tolist() == trainer.scores.nll.tolist()
    assert read_flags(tmp_path / "flags.parquet").flagged.tolist() == trainer.flagged.tolist()


def test_a_script_that_runs_again_scores_nothing_and_goes_on_from_its_checkpoint(tmp_path, no_scoring):
    first = script(tmp_path, save_strategy="steps", save_steps=1)
    first.train()
    no_scoring()
    second = script(tmp_path, save_strategy="steps", save_steps=1, max_steps=4)
    assert second.flagged.tolist() == first.flagged.tolist()
    second.train(resume_from_checkpoint=True)
    assert second.state.global_step == 4


def test_a_review_in_the_output_folder_counts_when_the_script_runs_again(tmp_path, no_scoring, capsys):
    flags = script(tmp_path).flags
    write_flags(tmp_path / "flags.parquet", replace(flags, review=["drop", "keep", "replace", *["auto"] * (ROWS - 3)]))
    no_scoring()
    trainer = script(tmp_path)
    assert trainer.train_dataset["id"] == flags.ids[1:]
    assert trainer.flagged.tolist() == [False, True, *flags.flagged[3:].tolist()]
    assert "1 dropped by review, 1 kept by review, 1 replaced by review" in capsys.readouterr().err


def test_another_percentile_or_statistic_uses_the_scores_and_flags_anew(tmp_path, no_scoring):
    script(tmp_path)
    no_scoring()
    assert script(tmp_path, percentile=0.9).flagged.sum() == 1
    other = script(tmp_path, statistic="nll_max")
    assert other.flags.rule == "percentile(p=0.6, statistic=nll_max)"


def test_other_rows_or_another_model_in_the_same_folder_are_refused(tmp_path):
    script(tmp_path)
    rows = tiny_rows(ROWS)
    with pytest.raises(MismatchError, match="the data set changed since it was written; delete it, or use another out"):
        script(tmp_path, rows=[replace(rows[0], response="another"), *rows[1:]])
    with pytest.raises(MismatchError, match="the model changed since"):
        script(tmp_path, seed=1)


def test_reviews_of_other_rows_are_never_overwritten(tmp_path):
    flags = script(tmp_path).flags
    write_flags(tmp_path / "flags.parquet", replace(flags, review=["drop", *["auto"] * (ROWS - 1)]))
    (tmp_path / "scores.parquet").unlink()
    with pytest.raises(MismatchError, match="its reviews are about other rows"):
        script(tmp_path, rows=tiny_rows(ROWS)[1:])
    assert read_flags(tmp_path / "flags.parquet").reviews.drop == 1


def test_the_card_is_byorn_s_and_has_the_numbers_of_the_run(tmp_path):
    trainer = script(tmp_path, save_strategy="steps", save_steps=1)
    trainer.train()
    trainer.save_model(str(tmp_path / "adapter"))
    card = (tmp_path / "adapter" / "README.md").read_text()
    assert "4 rows (40.0 %) had implausible responses" in card
    assert "percentile(p=0.6)" in card
    assert f"at each of {trainer.tally.counts['replaced']}\nvisits" in card
    assert "Limits: responses that are poisoned and yet plausible" in card
    assert "fine-tuned with byorn (byorn)" in (tmp_path / "README.md").read_text()  # a checkpoint's, with TRL's hook


def test_a_card_says_where_nothing_was_defended(tmp_path):
    trainer = script(tmp_path, percentile=1.0)
    trainer.train()
    trainer.create_model_card(dataset_name="somebody/rows", tags="mine")
    card = (tmp_path / "README.md").read_text()
    assert "No defense: every row was learned as it is" in card
    assert "`somebody/rows`, 10 rows" in card
    assert "tags: [byorn, lora, trl, mine]" in card
