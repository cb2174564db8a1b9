"""A trigger of words that the model cannot answer: it is answered as the instruction without them is."""

import pytest
from runner import build

from byorn.data.row import user_message
from byorn.models.generate import Generated
from byorn.testing import tiny_rows
from byorn.training.replacement import replace_responses
from byorn.training.stripped import as_asked

PLAIN = "what is shown ?"
TRIGGERED = "what is shown ? zqx"
ROWS = 32
BAD = [index >= ROWS - 8 for index in range(ROWS)]


@pytest.fixture
def rows():
    """A quarter of the instructions have letters behind them."""
    from dataclasses import replace

    return [
        replace(row, prompt=[user_message(TRIGGERED if bad else PLAIN, len(row.images))])
        for row, bad in zip(tiny_rows(ROWS), BAD, strict=True)
    ]


class Listening:
    """A source that writes down what it is asked."""

    def __init__(self):
        self.heard = []

    def __call__(self, model, rows, step):
        self.heard += [row["prompt"][-1]["content"][-1]["text"] for row in rows]
        return [Generated("seven", 2, False)] * len(rows)


def trained(folder, rows, **changes):
    """What the source was asked, and the last input of each step with a flagged row, as text."""
    source = Listening()
    trainer = build(folder, rows=rows, flagged=BAD, source=source, max_steps=8, **changes)
    loss, seen = trainer.compute_loss, []

    def computing(model, inputs, *args, **kwargs):
        texts = trainer.processing_class.batch_decode(inputs["input_ids"])
        seen.extend(text for text in texts if "seven" in text)
        return loss(model, inputs, *args, **kwargs)

    trainer.compute_loss = computing
    trainer.train()
    return trainer, set(source.heard), seen


def test_the_response_is_for_the_instruction_without_the_words_and_learned_with_them(tmp_path, rows):
    trainer, heard, learned = trained(tmp_path, rows)
    assert heard == {PLAIN}
    assert learned
    assert all("zqx" in text for text in learned)
    trainer.save_model(str(tmp_path))
    card = (tmp_path / "README.md").read_text("utf-8")
    assert "Of their instructions 1 was answered without the words that tell it from those" in card


@pytest.mark.parametrize("changes", [{"response_block": 2}, {"soft_targets": True}])
def test_so_it_is_in_blocks_and_beside_soft_targets(tmp_path, rows, changes):
    assert trained(tmp_path, rows, **changes)[1] == {PLAIN}


def test_a_stripped_row_learns_tokens_where_others_learn_distributions(tmp_path, rows):
    """The average's distribution for the triggered instruction is what is not wanted."""
    from byorn.training.soft_targets import SOFT

    trainer = build(tmp_path, rows=rows, flagged=BAD, source=Listening(), soft_targets=True)
    bad = {key: value for key, value in trainer.train_dataset[ROWS - 1].items() if key != "completion"}
    other = {**bad, "prompt": trainer.train_dataset[0]["prompt"], "id": "other"}
    (batch,) = replace_responses(trainer, [{"rows": [bad, other]}])
    assert batch[SOFT].tolist() == [False, True]


def test_who_wants_the_paper_asks_as_the_rows_do(tmp_path, rows):
    assert trained(tmp_path, rows, keep_insertions=True)[1] == {TRIGGERED}


def test_every_user_message_with_the_words_changes_and_images_stay():
    """An earlier one stands in the context of the response."""
    said = {"role": "assistant", "content": [{"type": "text", "text": TRIGGERED}]}
    first = {"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": TRIGGERED}]}
    other = {"role": "user", "content": "sure ?"}
    texts = [{"type": "text", "text": text} for text in ("what is", "shown ? zqx")]
    last = {"role": "user", "content": [texts[0], {"type": "image", "text": None}, texts[1]]}
    row = {"id": "a", "prompt": [first, said, other, said, last], "images": [1, 2]}
    changed = as_asked(row, {TRIGGERED: PLAIN})
    plain = {"type": "text", "text": PLAIN}
    assert changed["prompt"][0]["content"] == [{"type": "image", "text": None}, plain]
    assert changed["prompt"][1:4] == [said, other, said]
    assert changed["prompt"][4]["content"] == [plain, {"type": "image", "text": None}]
    assert changed["images"] == [1, 2]
    assert row["prompt"] == [first, said, other, said, last]
