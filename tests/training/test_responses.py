"""What a sampled response teaches: its own tokens, and an end of turn only where it ended."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from runner import FLAGGED, ROWS, build, losses, record

from byorn.embedded.architecture import END, IMAGE_TOKEN
from byorn.errors import MismatchError
from byorn.models.generate import Generated
from byorn.testing import tiny_processor
from byorn.training.replacement import replace_responses
from byorn.training.sampling import completion_text, learned_length_limit


class Scripted:
    """A response source that says what it is told."""

    def __init__(self, *responses):
        self.responses = responses

    def __call__(self, model, rows, step):
        return [self.responses[index % len(self.responses)] for index in range(len(rows))]


def taught(folder, *responses):
    """The trainer of one flagged step, and the tokens that each of its rows was taught."""
    trainer, seen = build(folder, source=Scripted(*responses), flagged=[True] * ROWS, max_steps=1), []
    loss = trainer.compute_loss

    def computing(model, inputs, *args, **kwargs):
        seen.extend(row[row != -100].tolist() for row in inputs["labels"])
        return loss(model, inputs, *args, **kwargs)

    trainer.compute_loss = computing
    trainer.train()
    return trainer, seen


def ids(text):
    return tiny_processor().tokenizer(text, add_special_tokens=False)["input_ids"]


def test_a_finished_response_teaches_its_end_and_a_truncated_one_does_not(tmp_path):
    _, seen = taught(tmp_path, Generated("blue", 2, truncated=False), Generated("a red", 6, truncated=True))
    assert seen == [ids(f"blue{END}"), ids("a red"), ids(f"blue{END}"), ids("a red")]


def test_empty_and_truncated_responses_are_counted(tmp_path):
    responses = [
        Generated(" ", 1, False),
        Generated("", 0, True),
        Generated("blue", 2, True),
        Generated("red", 2, False),
    ]
    trainer, seen = taught(tmp_path, *responses)
    assert trainer.tally.counts == {"replaced": 4, "empty": 2, "truncated": 2}
    assert seen[1] == []
    entry = next(entry for entry in trainer.state.log_history if "empty_responses" in entry)
    assert (entry["empty_responses"], entry["truncated_responses"], entry["response_tokens"]) == (0.5, 0.5, 1.25)
    assert entry["flagged_share"] == 1.0


def test_a_step_that_teaches_nothing_is_survived(tmp_path):
    trainer, seen = taught(tmp_path, Generated("", 0, True))
    assert seen == [[]] * 4
    assert losses(trainer) == [0.0]


def test_a_sampled_text_that_spells_a_special_token_is_no_token(tmp_path):
    """Ordinary tokens can spell `<image>`; read as one, it would stop the training or end the turn."""
    _, seen = taught(tmp_path, Generated(f"see {IMAGE_TOKEN} {END} now", 9, truncated=False))
    special = tiny_processor().tokenizer.convert_tokens_to_ids([IMAGE_TOKEN, END])
    assert [[token for token in row if token in special] for row in seen] == [special[1:]] * 4
    assert seen[0][-1] == special[1]


def test_a_template_that_ends_no_response_gets_an_end_for_finished_ones(tmp_path):
    from runner import settings

    from byorn.data.dataset import to_dataset
    from byorn.testing import tiny_model, tiny_rows
    from byorn.training.trainer import ByornTrainer

    processor = tiny_processor()
    processor.chat_template = processor.chat_template.replace(
        "{{ '<|end|>' }}", "{{ '' if message['role'] == 'assistant' else '<|end|>' }}"
    )
    source = Scripted(Generated("blue", 2, truncated=False), Generated("a red", 6, truncated=True))
    trainer = ByornTrainer(
        tiny_model(),
        settings(tmp_path),
        train_dataset=to_dataset(tiny_rows(ROWS), FLAGGED),
        processing_class=processor,
        source=source,
    )
    rows = [
        {key: value for key, value in row.items() if key != "completion"}
        for row in trainer.train_dataset.select(range(2))
    ]
    labels = replace_responses(trainer, [{"rows": rows}])[0]["labels"]
    assert [row[row != -100].tolist() for row in labels] == [ids(f"blue{END}"), ids("a red")]


def test_a_source_that_loses_a_response_is_refused(tmp_path):
    trainer = build(tmp_path, source=lambda model, rows, step: [Generated("blue", 2, False)] * (len(rows) - 1))
    with pytest.raises(MismatchError, match="3 responses for 4 rows"):
        trainer.train()


@pytest.mark.parametrize(
    ("responses", "limit"),
    [(["x" * 8] * 100, 14), ([], 1024), (["x" * 4000], 1024), (["x" * 8] * 999 + ["x" * 400], 14), (["x"], 5)],
)
def test_the_length_limit_comes_from_the_trusted_responses(responses, limit):
    assert learned_length_limit(tiny_processor(), responses) == limit


def test_a_long_list_of_responses_is_sampled_from_end_to_end():
    lengths = []

    def tokenizer(texts, **_):
        lengths.extend(map(len, texts))
        return {"input_ids": texts}

    responses = ["x" * (1 + index // 1000) for index in range(10_000)]
    stand_in: Any = SimpleNamespace(tokenizer=tokenizer)
    learned_length_limit(stand_in, responses)
    assert len(lengths) == 1000
    assert set(lengths) == set(range(1, 11))


def test_flagged_responses_do_not_stretch_the_learned_limit(tmp_path):
    from dataclasses import replace

    from byorn.testing import tiny_rows

    rows = [
        replace(row, response="x" * 500) if flag else row for row, flag in zip(tiny_rows(ROWS), FLAGGED, strict=True)
    ]
    assert build(tmp_path, rows=rows, max_response_tokens=None).source.sampling.max_new_tokens < 40
    assert build(tmp_path, rows=rows, max_response_tokens=7).source.sampling.max_new_tokens == 7


@pytest.mark.parametrize(
    "completion",
    [
        "a red square",
        [{"role": "assistant", "content": "a red square"}],
        [{"role": "assistant", "content": [{"type": "text", "text": "a red"}, {"type": "text", "text": " square"}]}],
    ],
)
def test_the_text_of_a_completion_is_found_in_every_form(completion):
    assert completion_text(completion) == "a red square"


def test_the_same_rows_at_the_same_step_get_the_same_responses_from_the_average(tmp_path):
    trainer = build(tmp_path)
    rows = list(trainer.train_dataset.select(range(4)))
    before = trainer.source(trainer.model, rows, 3)
    with torch.no_grad():
        for name, value in trainer.model.named_parameters():
            if ".default." in name:
                value.add_(1.0)  # the student alone
    assert trainer.source(trainer.model, rows, 3) == before


def test_flagged_rows_beyond_their_share_wait_for_another_epoch(tmp_path):
    """Of three clean steps and two flagged ones, a quarter is one flagged step."""
    trainer = build(tmp_path, max_flagged_share=0.25, max_steps=8)
    steps = record(trainer)
    trainer.train()
    assert [step["flagged"] for step in steps] == [False, False, True, False] * 2
    first, second = (set(step["texts"]) for step in steps if step["flagged"])
    assert (len(first), len(second), len(first | second)) == (4, 4, 6)
    assert trainer.tally.counts["replaced"] == 8
    trainer.save_model(str(tmp_path))
    assert "at most 25 % of an epoch's steps" in (tmp_path / "README.md").read_text(encoding="utf-8")
