"""Rows as TRL users have them become the rows that byorn trains on; whatever cannot be used is refused in one line."""

from typing import Any

import datasets
import pytest
import torch

from byorn.errors import DataError
from byorn.scoring.likelihood import build_collator
from byorn.testing import tiny_processor
from byorn.training.rows import as_eval_rows, as_rows


def batch(dataset):
    return build_collator(tiny_processor())([dataset[index] for index in range(len(dataset))])


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def plainly(message):
    """The message with plain text as its content; TRL then puts the images first."""
    return {"role": message["role"], "content": "".join(block["text"] or "" for block in message["content"])}


def test_messages_and_a_single_image_make_the_same_batch_as_prompt_and_completion(canonical, messages):
    single = messages.map(lambda row: {"image": row["images"][0]}, remove_columns=["images"])
    single = single.cast_column("image", datasets.Image())
    plain = datasets.Dataset.from_list(
        [{"messages": [plainly(message) for message in row["messages"]]} for row in messages]
    )
    plain = datasets.concatenate_datasets([plain, messages.select_columns(["images"])], axis=1)
    for rows in (messages, single, plain):
        assert same(batch(as_rows(rows)), batch(canonical))
    assert as_rows(canonical) is canonical


def test_other_columns_and_a_chosen_order_stay(messages):
    rows = messages.add_column("id", [f"row-{n}" for n in range(len(messages))]).select([5, 0, 3])
    found = as_rows(rows)
    assert found["id"] == ["row-5", "row-0", "row-3"]
    assert [row["completion"] for row in found] == [messages[n]["messages"][-1:] for n in (5, 0, 3)]
    assert [row["images"] for row in found] == [messages[n]["images"] for n in (5, 0, 3)]


def test_an_image_is_wrapped_as_it_is_stored_and_a_row_without_one_has_none(messages):
    talk = datasets.Dataset.from_list([{"messages": [plainly(message) for message in messages[0]["messages"]]}] * 3)
    broken = [{"bytes": b"no image at all", "path": None}, None, {"bytes": None, "path": "gone.png"}]
    images = datasets.Dataset.from_dict({"image": broken}, features=datasets.Features({"image": datasets.Image()}))
    rows = as_rows(datasets.concatenate_datasets([talk, images], axis=1))
    stored = rows.with_format("arrow")[:].column("images").to_pylist()
    assert [[image["bytes"] or image["path"] for image in row] for row in stored] == [
        [b"no image at all"],
        [],
        ["gone.png"],
    ]


def test_of_several_answers_the_last_is_learned_and_that_is_said(messages, caplog):
    talk = [plainly(message) for message in messages[0]["messages"]]
    rows = datasets.Dataset.from_list([{"messages": talk + talk, "images": []}, {"messages": talk, "images": []}])
    found = as_rows(rows)
    assert [len(row["prompt"]) for row in found] == [3, 1]
    assert [len(row["completion"]) for row in found] == [1, 1]
    assert "1 conversations have several answers" in caplog.text


def test_evaluation_sets_are_read_alike(canonical, messages):
    found: Any = as_eval_rows(datasets.DatasetDict({"a": messages, "b": canonical}))
    assert same(batch(found["a"]), batch(found["b"]))
    assert as_eval_rows(None) is None
    assert as_eval_rows("a") == "a"
    with pytest.raises(DataError, match=r"eval_dataset\['b'\]: no column 'images'"):
        as_eval_rows({"a": messages, "b": messages.remove_columns(["images"])})


def test_the_format_that_a_script_has_set_does_not_matter(canonical, messages):
    for kind in ("numpy", "torch"):
        assert same(batch(as_rows(messages.with_format(kind))), batch(canonical))


def test_what_cannot_be_scored_is_refused_in_one_line(canonical, messages):
    ask = messages[0]["messages"][:1]
    unanswered = datasets.Dataset.from_list(
        [{"messages": messages[0]["messages"], "images": []}, {"messages": ask, "images": []}]
    )
    text = datasets.Dataset.from_list([{"text": "a page", "images": []}])
    unlisted = datasets.Dataset.from_list([{"images": images} for images in ([], None, [])])
    talk = datasets.Dataset.from_list([{"messages": [plainly(message) for message in messages[0]["messages"]]}] * 3)
    unlisted = datasets.concatenate_datasets([unlisted, talk], axis=1)
    unlike = canonical.map(lambda row, number: {"images": row["images"][: number != 1]}, with_indices=True)
    refused = {
        "the images of row 1 are None": unlisted,
        "streaming": messages.to_iterable_dataset(),
        "several splits": datasets.DatasetDict({"train": messages}),
        "from_list": list(messages),
        "NoneType given": None,
        "with_transform": messages.with_transform(lambda rows: rows),
        "no row": messages.select([]),
        "the messages of row 1 do not end with an answer": unanswered,
        "the messages of row 0 do not end with an answer": datasets.Dataset.from_list(
            [{"messages": "what? red", "images": []}]
        ),
        r"no column 'prompt' \(found: text, images\)": text,
        "no column 'images'": messages.remove_columns(["images"]),
        "turn holds no whole numbers": messages.add_column("turn", ["first"] * len(messages)),
        r"row 1 cannot be learned \(ValueError: Number of images provided \(0\)": unlike,
        "completion is plain text": datasets.Dataset.from_list([{"prompt": ask, "completion": "red", "images": []}]),
        "prompt is plain text": datasets.Dataset.from_list([{"prompt": "what?", "completion": "red", "images": []}]),
    }
    for message, rows in refused.items():
        with pytest.raises(DataError, match=f"^train_dataset: .*{message}") as refusal:
            as_rows(rows)
        assert "\n" not in str(refusal.value)
    assert len(as_rows(unlisted.select([0, 2]))) == 2


@pytest.mark.parametrize(
    ("before", "why"), [([], "IndexError"), ([{"role": "system", "content": "Be brief."}], "ends with .*'system'")]
)
def test_an_answer_to_nothing_is_refused_before_rows_are_scored(before, why):
    """TRL's collator fails on it, in whatever step of the training that is."""
    asked = [{"role": "user", "content": "what?"}]
    answer = [{"role": "assistant", "content": "red"}]
    rows = [{"prompt": prompt, "completion": answer, "images": []} for prompt in (asked, before)]
    with pytest.raises(DataError, match=rf"^train_dataset: row 1 cannot be learned \(.*{why}"):
        as_rows(datasets.Dataset.from_list(rows))
