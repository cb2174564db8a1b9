"""Each format that users bring becomes the same canonical row."""

import json
from typing import Any

import pytest
from data_samples import png

from byorn.data.load import load_rows
from byorn.data.readers.llamafactory import reader_for
from byorn.data.row import Origin
from byorn.errors import DataError

PROMPT = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}]
HUMAN, GPT = {"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A red box."}
USER, ASSISTANT = {"role": "user", "content": "<image>What is it?"}, {"role": "assistant", "content": "A red box."}
BLOCKS = [{"type": "image", "text": None}, {"type": "text", "text": "What is it?"}]
ANSWER = [{"type": "text", "text": "A red box."}]

SAME_ROW: dict[str, tuple[str, dict[str, Any]]] = {
    "llava": ("llava", {"image": "red.png", "conversations": [HUMAN, GPT]}),
    "llava with a list": ("llava", {"image": ["red.png"], "conversations": [HUMAN, GPT]}),
    "sharegpt": ("sharegpt", {"images": ["red.png"], "conversations": [HUMAN, GPT]}),
    "sharegpt messages": ("sharegpt", {"images": ["red.png"], "messages": [HUMAN, GPT]}),
    "trl messages": ("trl", {"images": ["red.png"], "messages": [USER, ASSISTANT]}),
    "trl strings": ("trl", {"image": "red.png", "prompt": "What is it?", "completion": "A red box."}),
    "trl lists": ("trl", {"images": ["red.png"], "prompt": [USER], "completion": [ASSISTANT]}),
    "trl blocks": (
        "trl",
        {
            "images": ["red.png"],
            "prompt": [{"role": "user", "content": BLOCKS}],
            "completion": [{"role": "assistant", "content": ANSWER}],
        },
    ),
    "trl image in its block": (
        "trl",
        {
            "prompt": [{"role": "user", "content": [{"type": "image", "image": "red.png"}, BLOCKS[1]]}],
            "completion": "A red box.",
        },
    ),
    "alpaca": ("alpaca", {"images": ["red.png"], "instruction": "What is it?", "input": "", "output": "A red box."}),
    "question and answer": ("captions", {"image": "red.png", "question": "What is it?", "answer": "A red box."}),
}


@pytest.mark.parametrize("case", SAME_ROW)
def test_a_format_is_told_by_its_content_and_gives_the_canonical_row(case, save, picture):
    picture()
    format, record = SAME_ROW[case]
    loaded = load_rows(save([{"id": "r1", "source": "web", **record}]))

    [row] = loaded.rows
    assert (row.id, row.turn, row.prompt, row.response) == ("r1", 0, PROMPT, "A red box.")
    assert [image.name for image in row.images] == ["red.png"]
    assert row.images[0].load().getpixel((0, 0)) == (255, 0, 0)
    assert row.meta == {"source": "web"}
    assert any(note.startswith(f"format: {format},") for note in loaded.notes)
    assert load_rows(save([{"id": "r1", "source": "web", **record}]), format=format).rows == loaded.rows


def test_the_format_of_most_records_wins(save):
    odd = {"prompt": "Hi", "completion": "Hello"}
    loaded = load_rows(
        save(
            [odd, {"conversations": [HUMAN | {"value": "Hi"}, GPT]}, {"conversations": [HUMAN | {"value": "Ho"}, GPT]}]
        )
    )
    assert len(loaded.rows) == 2
    assert loaded.rejects[0].index == 0


def test_a_text_only_row_has_no_image(save):
    loaded = load_rows(save([{"conversations": [{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": "4"}]}]))
    assert loaded.rows[0].images == []
    assert loaded.rows[0].prompt == [{"role": "user", "content": [{"type": "text", "text": "2 + 2?"}]}]


def test_markers_keep_the_place_of_several_images(save, picture):
    picture("a.png"), picture("b.png", "blue")
    text = "First <image>\nthen\n<image>"
    loaded = load_rows(save([{"image": ["a.png", "b.png"], "conversations": [{"from": "human", "value": text}, GPT]}]))
    [message] = loaded.rows[0].prompt
    assert message["content"] == [
        {"type": "text", "text": "First "},
        {"type": "image"},
        {"type": "text", "text": "then"},
        {"type": "image"},
    ]
    assert [image.name for image in loaded.rows[0].images] == ["a.png", "b.png"]


def test_images_without_markers_go_before_the_first_user_text_and_that_is_said(save, picture):
    picture("a.png"), picture("b.png")
    chat = [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "Compare."}, GPT]
    loaded = load_rows(save([{"images": ["a.png", "b.png"], "conversations": chat}]))
    system, user = loaded.rows[0].prompt
    assert system == {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}
    assert [block["type"] for block in user["content"]] == ["image", "image", "text"]
    assert any("no <image> marker" in note for note in loaded.notes)


def test_a_string_is_one_image_and_its_letters_are_never_counted(save, picture):
    picture("a.png")
    chat = [{"role": "user", "content": "<image>Look"}, ASSISTANT]
    assert len(load_rows(save([{"images": "a.png", "messages": chat}])).rows[0].images) == 1


@pytest.mark.parametrize("more", [{"history": [["What is it?", "A box."]]}, {"input": "Only the left one."}])
def test_a_question_is_not_asked_without_the_rest_of_its_prompt(more, save):
    """ms-swift's `query` and `response` have a `history`; Alpaca's columns with a `response` an `input`."""
    loaded = load_rows(
        save([{"query": "Its color?", "response": "Red.", **more}, {"query": "Hi", "response": "Hello"}])
    )
    assert [row.response for row in loaded.rows] == ["Hello"]
    assert [reject.field for reject in loaded.rejects] == list(more)


def test_text_beside_a_missing_answer_is_not_taken_for_it(save, picture):
    picture("a.png")
    asked = {"image": "a.png", "question": "What is the brand?", "text": "SALE 50 %"}
    loaded = load_rows(
        save([{**asked, "answer": "Acme"}, {**asked, "answer": None}, {"image": "a.png", "text": "A box."}])
    )
    assert [row.response for row in loaded.rows] == ["Acme", "A box."]
    assert (loaded.rejects[0].field, loaded.rejects[0].reason) == ("answer", "no response")


def test_a_caption_without_a_question_gets_an_instruction_and_a_note(save, picture):
    picture()
    loaded = load_rows(save([{"file_name": "red.png", "text": "A red box."}]))
    assert loaded.rows[0].instruction == "Describe this image."
    assert any("no question column" in note for note in loaded.notes)


def test_words_around_an_image_stay_apart_in_the_instruction(save, picture):
    picture()
    messages = [{"role": "user", "content": "Here<image>what is shown?"}, {"role": "assistant", "content": "A box."}]
    [row] = load_rows(save([{"images": ["red.png"], "messages": messages}])).rows
    assert row.instruction == "Here what is shown?"
    assert row.response == "A box."


def test_system_column_and_history_become_messages(save):
    record = {
        "instruction": "And now?",
        "input": "In one word.",
        "output": "Blue.",
        "system": "Be kind.",
        "history": [["Color?", "Red."]],
    }
    [row] = load_rows(save([record])).rows
    assert [message["role"] for message in row.prompt] == ["system", "user", "assistant", "user"]
    assert row.instruction == "And now?\nIn one word."
    assert row.turn == 1


@pytest.mark.parametrize("column", ["videos", "video", "audios", "audio"])
def test_video_and_audio_are_refused_by_name(column, save):
    good, bad = {"messages": [USER | {"content": "Hi"}, ASSISTANT]}, {"messages": [USER, ASSISTANT], column: ["a.mp4"]}
    [reject] = load_rows(save([good, bad])).rejects
    assert (reject.index, reject.field, reject.reason) == (1, column, f"{column.removesuffix('s')} is not supported")
    assert reject.fix


BAD_RESPONSES = {
    "TRL's KTO": {"prompt": "What is it?", "completion": "A red box.", "label": False},
    "KTO as messages": {"messages": [USER | {"content": "What is it?"}, ASSISTANT], "label": False},
    "LLaMA-Factory's KTO": {"conversations": [HUMAN | {"value": "What is it?"}, GPT], "kto_tag": False},
    "KTO as alpaca": {"instruction": "What is it?", "output": "A red box.", "kto_tag": False},
}


@pytest.mark.parametrize("case", BAD_RESPONSES)
def test_a_response_that_is_marked_as_bad_is_never_one_to_learn(case, save):
    bad = BAD_RESPONSES[case]
    [column] = {"label", "kto_tag"} & bad.keys()
    loaded = load_rows(save([bad | {column: True}, bad]))

    assert [(row.response, row.origin.record) for row in loaded.rows] == [("A red box.", 0)]
    [reject] = loaded.rejects
    assert (reject.index, reject.field) == (1, column)
    assert "not to give (KTO); drop the row" in str(reject)


def test_tool_turns_are_refused(save):
    good = [USER | {"content": "Hi"}, ASSISTANT]
    call = [
        good[0],
        {"role": "assistant", "content": "", "tool_calls": [{"name": "f"}]},
        {"role": "tool", "content": "1"},
    ]
    rejects = load_rows(save([{"messages": good}, {"messages": call}, {"messages": good, "tools": "[f]"}])).rejects
    assert [reject.field for reject in rejects] == ["messages[1]", "tools"]


@pytest.fixture
def factory(tmp_path, picture):
    """A LLaMA-Factory data folder with one entry of each formatting."""
    picture("media/a.png")
    chat = [{"who": "me", "says": "<image>Look"}, {"who": "bot", "says": "A box."}]
    (tmp_path / "chat.json").write_text(
        json.dumps([{"talk": [{"who": "sys", "says": "Hm."}, *chat], "pics": ["media/a.png"]}])
    )
    (tmp_path / "alpaca.jsonl").write_text(json.dumps({"q": "Hi", "input": "ignored", "a": "Ho", "s": "Be kind."}))
    (tmp_path / "video.json").write_text(json.dumps([{"talk": chat, "films": ["a.mp4"]}]))
    tags = {"role_tag": "who", "content_tag": "says", "user_tag": "me", "assistant_tag": "bot", "system_tag": "sys"}
    columns = {"messages": "talk", "images": "pics", "videos": "films"}
    info = {
        "chat": {"file_name": "chat.json", "formatting": "sharegpt", "columns": columns, "tags": tags},
        "text": {"file_name": "alpaca.jsonl", "columns": {"prompt": "q", "response": "a", "system": "s"}},
        "film": {"file_name": "video.json", "formatting": "sharegpt", "columns": columns, "tags": tags},
        "pairs": {"file_name": "chat.json", "ranking": True},
        "away": {"file_name": "../secret.json"},
        "hub": {"hf_hub_url": "owner/name"},
    }
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    return tmp_path


def test_an_entry_of_dataset_info_is_read_as_it_says(factory):
    [chat] = load_rows(factory, name="chat").rows
    assert [message["role"] for message in chat.prompt] == ["system", "user"]
    assert (chat.response, chat.images[0].name) == ("A box.", "media/a.png")
    [text] = load_rows(factory, name="text").rows
    assert [message["role"] for message in text.prompt] == ["system", "user"]
    assert (text.instruction, text.response, text.meta) == ("Hi", "Ho", {"input": "ignored"})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "which entry.*away, chat, film"),
        ("nope", "no entry 'nope'"),
        ("pairs", "preference data"),
        ("away", "leaves the folder"),
        ("hub", "hf_hub_url is not fetched; add --format hub"),
        ("film", "films: video is not supported"),
    ],
)
def test_an_entry_that_cannot_be_used_says_why(factory, name, message):
    with pytest.raises(DataError, match=message):
        load_rows(factory, name=name)


def test_llama_factory_defaults_hold_without_tags():
    read = reader_for("x", {"formatting": "sharegpt"}).read
    assert read({"conversations": [HUMAN, GPT]}).turns[0].role == "user"
    openai = reader_for("x", {"formatting": "openai", "columns": {"messages": "messages"}}).read
    assert openai({"messages": [USER, ASSISTANT]}).turns[1].role == "assistant"


def test_image_bytes_in_a_row_stay_bytes(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [{"prompt": "Look", "completion": "Red.", "image": {"bytes": png(), "path": "x/red.png"}}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    loaded = load_rows(tmp_path / "train.parquet")
    [row] = loaded.rows
    assert (row.images[0].data, row.images[0].path, row.images[0].name) == (png(), None, "red.png")
    assert row.meta == {}
    assert [note for note in loaded.notes if note.startswith("images:")] == ["images: column 'image'"]


def test_every_row_knows_the_record_that_it_comes_from(tmp_path):
    (tmp_path / "red.png").write_bytes(png())
    good = {"image": "red.png", "conversations": [HUMAN, GPT, {"from": "human", "value": "Sure?"}, GPT]}
    (tmp_path / "rows.json").write_text(json.dumps([good, {"image": "no.png", "conversations": [HUMAN, GPT]}, good]))
    loaded = load_rows(tmp_path / "rows.json", turns="all")
    assert [row.origin for row in loaded.rows] == [Origin("rows.json", record) for record in (0, 0, 2, 2)]
    assert (loaded.rejects[0].source, loaded.rejects[0].index) == ("rows.json", 1)
    assert len(loaded.rows) == 4
