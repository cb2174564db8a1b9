"""What a trainer is given: flags of a scan, a person's review, a model by name; and what it refuses, early."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import Dataset
from runner import FLAGGED, ROWS, build, losses, settings
from trl import SFTConfig

from byorn.data.dataset import to_dataset
from byorn.data.row import ImageFile, user_message
from byorn.errors import ConfigError, DataError, MismatchError, ModelError
from byorn.flagging.percentile import flag_percentile
from byorn.flagging.table import Flags
from byorn.scoring.score import score_dataset
from byorn.testing import tiny_model, tiny_processor, tiny_rows
from byorn.training.card import facts_of
from byorn.training.content import rows_of
from byorn.training.trainer import ByornTrainer


def make(folder, *, dataset=None, model=None, flags=None, args=None, **changes):
    processor = tiny_processor()
    return ByornTrainer(
        model if model is not None else tiny_model(), args or settings(folder, **changes), flags=flags,
        processing_class=processor,
        train_dataset=to_dataset(tiny_rows(ROWS)) if dataset is None else dataset,
    )  # fmt: skip


def flags_for(rows, flagged, review=None):
    flagged = np.array(flagged)
    ids, turns = [row.id for row in rows], [row.turn for row in rows]
    return Flags(ids, turns, flagged, flagged.astype(float), "test", 1.0, [None] * len(rows), review)


@pytest.mark.parametrize("values", [[None, True], ["False", "False"], [0.7, 0.1]])
def test_a_flag_that_is_neither_true_nor_false_is_refused(tmp_path, values):
    dataset = to_dataset(tiny_rows(ROWS)).add_column("flagged", values * (ROWS // 2))
    with pytest.raises(DataError, match="column 'flagged' has values that are not true or false"):
        make(tmp_path, dataset=dataset)


def test_without_flags_the_rows_are_scored_first_and_flagged_at_the_percentile(tmp_path):
    dataset = to_dataset(tiny_rows(10))
    trainer = make(tmp_path, dataset=dataset, rule="paper", percentile=0.6)
    expected = flag_percentile(score_dataset(tiny_model(), tiny_processor(), dataset), 0.6).flagged
    assert trainer.flagged.tolist() == expected.tolist()
    assert trainer.flagged.sum() == 4
    assert trainer.tally.seconds["scoring"] > 0


def test_flagging_first_or_beforehand_trains_the_same(tmp_path):
    scores = score_dataset(tiny_model(), tiny_processor(), to_dataset(tiny_rows(ROWS)))
    own = make(tmp_path / "own", rule="paper", percentile=0.5, max_steps=4)
    own.train()
    given = make(tmp_path / "given", flags=flag_percentile(scores, 0.5), max_steps=4)
    given.train()
    assert losses(own) == losses(given)


def test_rows_of_one_name_are_refused_before_they_are_scored(tmp_path, monkeypatch):
    """Scores are of names too: to mend them afterwards would throw the scoring away."""
    monkeypatch.setattr("byorn.training.scoring.score_together", lambda *given, **more: pytest.fail("rows are scored"))
    twins = to_dataset([replace(row, id="same") for row in tiny_rows(ROWS)])
    with pytest.raises(DataError, match="rows have the id 'same'"):
        make(tmp_path, dataset=twins)


def test_rows_that_could_not_be_scored_are_said_with_a_way_out(tmp_path, capsys):
    rows = tiny_rows(ROWS)
    rows[3] = replace(rows[3], images=[ImageFile(data=b"no image")])
    trainer = make(tmp_path, dataset=to_dataset(rows))
    assert trainer.flagged[3]
    said = capsys.readouterr().err
    assert f"warning: 1 row(s) could not be scored and are flagged for it, the first: '{rows[3].id}', turn 0" in said
    assert f"write drop into review of {tmp_path / 'flags.parquet'}" in said


def test_flags_of_other_rows_are_refused(tmp_path):
    rows = tiny_rows(ROWS)
    with pytest.raises(MismatchError, match="byorn scan"):
        make(tmp_path, flags=flags_for(rows[::-1], FLAGGED))
    with pytest.raises(MismatchError, match="byorn scan"):
        make(tmp_path, flags=flags_for(rows[:-1], FLAGGED[:-1]))
    nameless = to_dataset(rows).remove_columns(["id", "turn"])
    with pytest.raises(MismatchError, match="15 decisions for 16 rows"):
        make(tmp_path, dataset=nameless, flags=flags_for(rows[:-1], FLAGGED[:-1]))


def test_flags_name_a_turn_which_is_the_first_where_the_rows_have_none(tmp_path):
    dataset = to_dataset(tiny_rows(ROWS)).remove_columns(["turn"])
    assert make(tmp_path, dataset=dataset, flags=flags_for(tiny_rows(ROWS), FLAGGED)).flagged.tolist() == FLAGGED


def test_a_person_has_the_last_word(tmp_path):
    rows = tiny_rows(ROWS)
    review = ["keep", "replace", "drop", "drop"] + ["auto"] * (ROWS - 4)
    trainer = make(tmp_path, flags=flags_for(rows, [True, False, True, False, *FLAGGED[4:]], review))
    assert trainer.train_dataset["id"] == [row.id for row in rows[:2] + rows[4:]]
    assert trainer.flagged.tolist() == [False, True, *FLAGGED[4:]]


def test_dropping_honors_the_review_too(tmp_path):
    rows = tiny_rows(ROWS)
    review = ["keep", "replace"] + ["auto"] * (ROWS - 2)
    trainer = make(tmp_path, flags=flags_for(rows, [True, False, *FLAGGED[2:]], review), replacement="drop")
    assert not trainer.flagged.any()
    assert trainer.train_dataset["id"] == [
        "row-0",
        *[row.id for row, flag in zip(rows[2:], FLAGGED[2:], strict=True) if not flag],
    ]


def test_the_card_counts_rows_that_a_column_flags_and_training_drops(tmp_path):
    trainer = build(tmp_path, flagged=FLAGGED, replacement="drop")
    assert (facts_of(trainer)["flagged"], facts_of(trainer)["learned"]) == (sum(FLAGGED), ROWS - sum(FLAGGED))


def test_dropping_everything_is_refused_with_a_way_out(tmp_path):
    with pytest.raises(DataError, match="every row is dropped"):
        build(tmp_path, flagged=[True] * ROWS, replacement="drop")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint on disk."""
    folder = tmp_path_factory.mktemp("model")
    tiny_model().save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    return folder


def test_a_model_by_name_is_loaded_as_told_and_gets_lora_on_its_language_model(saved, tmp_path):
    args = settings(tmp_path, model_init_kwargs={"dtype": "bfloat16"}, max_steps=2)
    trainer = ByornTrainer(str(saved), args, train_dataset=to_dataset(tiny_rows(ROWS), FLAGGED))
    trainer.train()
    assert {value.dtype for name, value in trainer.model.named_parameters() if "lora_" not in name} == {torch.bfloat16}
    trained = [name for name, value in trainer.model.named_parameters() if value.requires_grad]
    assert trained
    assert all("language_model" in name and "lora_" in name for name in trained)


def test_a_model_by_name_and_the_same_model_in_memory_train_alike(saved, tmp_path):
    by_name = make(tmp_path / "name", model=str(saved), dataset=to_dataset(tiny_rows(ROWS), FLAGGED), max_steps=3)
    by_name.train()
    in_memory = make(tmp_path / "memory", dataset=to_dataset(tiny_rows(ROWS), FLAGGED), max_steps=3)
    in_memory.train()
    assert losses(by_name) == losses(in_memory)


def test_a_model_that_is_not_there_is_refused(tmp_path):
    for name in (str(tmp_path / "nowhere"), "nobody/nothing"):
        with pytest.raises(ModelError, match="model"):
            make(tmp_path, model=name)


def test_an_adapter_in_the_place_of_its_model_is_called_one_as_on_the_command_line(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(ModelError, match="it is an adapter, not a model; give the model that it was trained on"):
        make(tmp_path / "out", model=str(tmp_path))


def test_bad_arguments_are_refused_before_any_model_is_loaded(tmp_path):
    def refused(error, match, **given):
        with pytest.raises(error, match=match):
            make(tmp_path, model="nobody/nothing", **given)

    rows = to_dataset(tiny_rows(4))
    refused(ConfigError, "ByornConfig", args=SFTConfig(str(tmp_path), report_to="none", bf16=False))
    refused(DataError, "'images'", dataset=rows.remove_columns(["images"]))
    refused(DataError, "'prompt'", dataset=rows.rename_column("prompt", "messages"))
    refused(DataError, "streaming", dataset=rows.to_iterable_dataset())
    refused(DataError, "no row", dataset=rows.select([]))
    refused(DataError, "messages", dataset=rows.remove_columns(["prompt"]).add_column("prompt", ["what color?"] * 4))


def test_an_adapter_of_another_name_is_refused(tmp_path):
    from peft import get_peft_model

    from byorn.models.lora import default_lora

    model = tiny_model()
    model = get_peft_model(model, default_lora(model), adapter_name="mine")
    with pytest.raises(ConfigError, match=r"'mine'.*'default'"):
        make(tmp_path, model=model)


def test_a_model_that_was_trained_before_starts_a_new_average_at_its_student(tmp_path):
    from runner import record

    from byorn.training.ema import adapter_pairs

    first = build(tmp_path / "first", max_steps=2)
    first.train()
    second = build(tmp_path / "second", model=first.model, max_steps=2)
    assert all(torch.equal(average, student) for average, student in zip(*adapter_pairs(second.model), strict=True))
    steps = record(second)
    second.train()
    assert [step["flagged"] for step in steps] == [False, True]


def test_rows_of_several_turns_are_told_apart(tmp_path):
    rows = [replace(row, id="talk", turn=index) for index, row in enumerate(tiny_rows(ROWS))]
    trainer = make(tmp_path, dataset=to_dataset(rows), flags=flags_for(rows, [True] * ROWS))
    responses = trainer.source(
        trainer.model, list(trainer.train_dataset.select([0, 4, 8])), 0
    )  # the same picture and question?
    assert len({response.text for response in responses}) == 3


ASKED = user_message("what color?", 1)
EARLIER = [user_message("what shape?"), {"role": "assistant", "content": [{"type": "text", "text": "round"}]}]


@pytest.mark.parametrize(
    "prompt", ["what color?", [{"role": "user", "content": "what color?"}], [ASKED], [*EARLIER, ASKED]]
)
def test_what_is_asked_of_a_row_is_known_in_every_form(prompt):
    """Rows with like instructions are compared with each other."""
    (row,) = rows_of(Dataset.from_list([{"prompt": prompt, "completion": "red"}]))
    assert (row.instruction, row.response) == ("what color?", "red")


def test_rows_hold_no_copy_of_their_images():
    """Or a data set of encoded images would be in memory twice."""
    dataset = to_dataset(tiny_rows(6))
    rows = rows_of(dataset)
    assert [image.read() for row in rows for image in row.images] == [
        image.read() for row in tiny_rows(6) for image in row.images
    ]
    assert all(isinstance(image.data, memoryview) for row in rows for image in row.images)
