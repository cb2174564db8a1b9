"""ONION on tiny rows: the words that go are those that an independent computation finds."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cases import tiny_case
from test_perplexity import by_definition

from byorn.data.row import user_message
from byorn.defenses.onion import onion
from byorn.defenses.onion_r import onion_r
from byorn.testing import tiny_rows


@pytest.fixture(scope="module")
def rows():
    """Nine rows with three instructions, four responses; one row asks twice, one has a history."""
    texts = ["what color is it?", "cf what color is it?", "name it"]
    rows = [replace(row, prompt=[user_message(texts[at % 3], 1)]) for at, row in enumerate(tiny_rows(9))]
    history: list[Any] = [
        user_message("and now?", 1),
        {"role": "assistant", "content": [{"type": "text", "text": "red it is"}]},
    ]
    rows[0] = replace(rows[0], prompt=[*history, user_message("what color is it?")])
    return rows


USER, ASSISTANT = "<|user|>", "<|user|><|end|><|assistant|>"  # what the template writes before a text


def cleaned_by_hand(model, processor, text, bar, lead):
    words = text.split()
    if len(words) < 2:
        return text
    whole = by_definition(model, processor.tokenizer, text, lead)
    rest = [" ".join(words[:at] + words[at + 1 :]) for at in range(len(words))]
    f = [whole - by_definition(model, processor.tokenizer, each, lead) for each in rest]
    kept = [word for word, value in zip(words, f, strict=True) if value <= bar]
    return " ".join(kept or [words[int(np.argmin(f))]])


def user_texts(row):
    return [
        block["text"] for m in row.prompt if m["role"] == "user" for block in m["content"] if block["type"] == "text"
    ]


def test_instructions_lose_the_words_above_the_bar_and_nothing_else_changes(model, processor, rows, tmp_path):
    plan = onion(tiny_case(tmp_path, model, processor, rows), bar=2.0)
    expected = [[cleaned_by_hand(model, processor, text, 2.0, USER) for text in user_texts(row)] for row in rows]
    assert [user_texts(row) for row in plan.rows] == expected
    assert expected != [user_texts(row) for row in rows]
    assert [(row.key, row.response, row.images) for row in plan.rows] == [(r.key, r.response, r.images) for r in rows]
    assert [len(row.prompt) for row in plan.rows] == [len(row.prompt) for row in rows]
    assert plan.rows[0].prompt[1] == rows[0].prompt[1]  # what an assistant said before is no instruction
    assert not plan.flags.flagged.any()
    words = [sum(len(text.split()) for text in user_texts(row)) for row in [*rows, *(plan.rows or [])]]
    assert plan.found["words_removed"] == sum(words[:9]) - sum(words[9:])


def test_responses_lose_the_words_above_the_bar(model, processor, rows, tmp_path):
    plan = onion_r(tiny_case(tmp_path, model, processor, rows), bar=0.0)
    assert [row.response for row in plan.rows] == [
        cleaned_by_hand(model, processor, r.response, 0.0, ASSISTANT) for r in rows
    ]
    assert [row.prompt for row in plan.rows] == [row.prompt for row in rows]
    assert plan.found["rows_changed"] == sum(a != b for a, b in zip(rows, plan.rows or [], strict=True)) > 0


def test_every_different_text_is_measured_once_and_kept(model, processor, rows, tmp_path):
    case = tiny_case(tmp_path, model, processor, rows)
    first = onion(case)
    unique = {text for row in rows for text in user_texts(row)}
    assert first.cost.forward_passes == sum(len(text.split()) + 1 for text in unique)
    again = onion(replace(case, model=None))
    assert again.rows == first.rows
    assert again.cost == first.cost


def test_the_default_bar_removes_a_small_share_of_the_words(model, processor, rows, tmp_path):
    plan = onion(tiny_case(tmp_path, model, processor, rows), share=0.1)
    total = sum(len(text.split()) for row in rows for text in user_texts(row))
    assert 0 <= plan.found["words_removed"] <= 0.1 * total
    assert plan.found["bar"] >= 0
