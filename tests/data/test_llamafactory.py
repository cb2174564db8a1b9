"""LLaMA-Factory's `data/` folder as its users have it: the shapes of its demo entries are read, the others refused
in one line.
"""

import json

import datasets
import pytest
from data_samples import png

from byorn.cli.main import main
from byorn.data.load import load_rows
from byorn.data.row import Origin
from byorn.errors import DataError

ROLES = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
MEDIA = {"formatting": "sharegpt", "tags": ROLES}
PREFERENCE = {"formatting": "sharegpt", "ranking": True, "columns": {"chosen": "chosen", "rejected": "rejected"}}
INFO = {
    "mllm_demo": {**MEDIA, "file_name": "mllm.json", "columns": {"messages": "messages", "images": "images"}},
    "mllm_video_demo": {**MEDIA, "file_name": "video.json", "columns": {"messages": "messages", "videos": "videos"}},
    "mllm_audio_demo": {**MEDIA, "file_name": "audio.json", "columns": {"messages": "messages", "audios": "audios"}},
    "identity": {"file_name": "identity.json"},
    "toolcall": {
        "file_name": "tools.json",
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "system": "system", "tools": "tools"},
    },
    "folder": {"file_name": "parts", "columns": {"prompt": "question", "response": "answer"}},
    "few": {"file_name": "identity.json", "num_samples": 2},
    "none": {"file_name": "identity.json", "num_samples": 0},
    "dpo": {**PREFERENCE, "file_name": "mllm.json"},
    "kto": {"file_name": "identity.json", "columns": {"response": "output", "kto_tag": "label"}},
    "c4_demo": {"file_name": "c4.jsonl", "columns": {"prompt": "text"}},
    "scripted": {"script_url": "belle_multiturn", "formatting": "sharegpt"},
    "elsewhere": {"ms_hub_url": "somebody/rows"},
    "path": {"hf_hub_url": "../secret"},
    "online": {
        "hf_hub_url": "somebody/rows",
        "subset": "en",
        "split": "dev",
        "folder": "v2",
        **MEDIA,
        "columns": {"messages": "messages"},
    },
}


def talk(*turns: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(turns)]


@pytest.fixture
def factory(save, picture, tmp_path):
    """A data folder with small files in the shapes of LLaMA-Factory's demo data."""
    picture("mllm_data/1.png"), picture("mllm_data/2.png", "blue")
    save(INFO, "dataset_info.json")
    save(
        [
            {
                "messages": talk("<image>Who are they?", "Two players.", "What is behind?", "A goal."),
                "images": ["mllm_data/1.png"],
            },
            {
                "messages": talk("<image><image>Which is blue?", "The second."),
                "images": ["mllm_data/1.png", "mllm_data/2.png"],
            },
            {"messages": talk("Hello.", "Hello."), "images": []},
        ],
        "mllm.json",
    )
    save(
        [
            {"messages": talk("<video>Why is it funny?", "A baby reads."), "videos": ["mllm_data/1.mp4"]},
            {"messages": talk("<video>And the film that was lost?", "It is lost."), "videos": []},
            {"messages": talk("Without a film?", "Yes."), "videos": []},
        ],
        "video.json",
    )
    save([{"messages": talk("<audio>What is it?", "Glass."), "audios": ["mllm_data/1.mp3"]}], "audio.json")
    answers = ["a box", "a ball", "a cube"]
    save(
        [{"instruction": f"What is {n}?", "input": "", "output": text} for n, text in enumerate(answers)],
        "identity.json",
    )
    said = [("human", "Hello"), ("gpt", "Hello, how can I help?")]
    call = [("human", "How warm is it?"), ("function_call", "{}"), ("observation", "21"), ("gpt", "21 degrees.")]
    save(
        [
            {"conversations": [{"from": role, "value": text} for role, text in turns], "system": system, "tools": tools}
            for turns, system, tools in ((said, "Be brief.", ""), (said, "", "[{}]"), (call, "", ""))
        ],
        "tools.json",
    )
    for name in ("b", "a"):
        save([{"question": "Which part?", "answer": name}], f"parts/{name}.json")
    save([{"text": "a page"}], "c4.jsonl")
    return tmp_path


def test_several_turns_two_images_in_a_row_and_text_alone(factory):
    loaded = load_rows(factory, name="mllm_demo")
    turns, two, text = loaded.rows
    assert not loaded.rejects
    assert [message["role"] for message in turns.prompt] == ["user", "assistant", "user"]
    assert [block["type"] for block in turns.prompt[0]["content"]] == ["image", "text"]
    assert (turns.turn, turns.response) == (1, "A goal.")
    assert [block["type"] for block in two.prompt[0]["content"]] == ["image", "image", "text"]
    assert [image.name for image in two.images] == ["mllm_data/1.png", "mllm_data/2.png"]
    assert text.images == []
    assert [row.response for row in load_rows(factory, name="mllm_demo", turns="all").rows][:2] == [
        "Two players.",
        "A goal.",
    ]


def test_text_without_columns_is_alpaca(factory):
    assert [row.response for row in load_rows(factory, name="identity").rows] == ["a box", "a ball", "a cube"]


def test_rows_with_video_are_refused_by_name_and_the_others_are_kept(factory):
    loaded = load_rows(factory, name="mllm_video_demo")
    assert [row.response for row in loaded.rows] == ["Yes."]
    assert [(reject.index, reject.field, reject.reason) for reject in loaded.rejects] == [
        (0, "videos", "video is not supported"),
        (1, "messages[0]", "a <video> marker, and video is not supported"),
    ]
    with pytest.raises(DataError, match=r"none of its 1 records.*audios: audio is not supported; drop the row"):
        load_rows(factory, name="mllm_audio_demo")


def test_a_system_column_is_read_and_rows_with_tools_are_refused(factory):
    loaded = load_rows(factory, name="toolcall")
    [row] = loaded.rows
    assert [message["role"] for message in row.prompt] == ["system", "user"]
    assert [(reject.field, "not supported" in reject.reason) for reject in loaded.rejects] == [
        ("tools", True),
        ("conversations[1]", True),
    ]


def test_an_entry_may_be_a_folder_of_files(factory):
    assert [row.response for row in load_rows(factory, name="folder").rows] == ["a", "b"]


def test_num_samples_takes_the_first_ones_and_says_so(factory):
    loaded = load_rows(factory, name="few")
    assert [row.response for row in loaded.rows] == ["a box", "a ball"]
    assert any("num_samples: the first 2" in note for note in loaded.notes)


def test_several_entries_are_one_data_set_in_that_order_each_read_its_own_way(factory):
    loaded = load_rows(factory, name="identity, mllm_demo,folder")
    assert [row.origin for row in loaded.rows] == [
        *(Origin("identity:identity.json", record) for record in range(3)),
        *(Origin("mllm_demo:mllm.json", record) for record in range(3)),
        Origin("folder:parts/a.json", 0),
        Origin("folder:parts/b.json", 0),
    ]
    assert [row.response for row in loaded.rows][2:5] == ["a cube", "A goal.", "The second."]
    assert [image.name for image in loaded.rows[4].images] == ["mllm_data/1.png", "mllm_data/2.png"]
    assert all(row.meta == {} for row in loaded.rows)
    assert [note for note in loaded.notes if note.startswith("entry")] == [
        f"entry {name!r} of dataset_info.json" for name in ("identity", "mllm_demo", "folder")
    ]


def test_ids_stay_unique_and_rejects_name_their_entry_in_a_mix(factory):
    loaded = load_rows(factory, name="identity,mllm_video_demo,identity")
    assert len({row.id for row in loaded.rows}) == len(loaded.rows) == 7
    assert loaded.rows[4].id == f"{loaded.rows[0].id}#2"
    assert [(reject.source, reject.index) for reject in loaded.rejects] == [
        ("mllm_video_demo:video.json", 0),
        ("mllm_video_demo:video.json", 1),
    ]


def test_num_samples_counts_in_its_entry_and_limit_over_all(factory):
    few = load_rows(factory, name="few,folder")
    assert [row.response for row in few.rows] == ["a box", "a ball", "a", "b"]
    assert [row.response for row in load_rows(factory, name="few,folder", limit=3).rows] == ["a box", "a ball", "a"]


def test_origin_changes_neither_ids_nor_the_fingerprint(factory, save):
    mixed = load_rows(factory, name="identity")
    alone = load_rows(factory / "identity.json")
    assert (alone.rows, alone.fingerprint) == (mixed.rows, mixed.fingerprint)
    assert alone.rows[0].origin == Origin("identity.json", 0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dpo", "'dpo': preference data has no single response"),
        ("kto", "'kto': preference data"),
        ("c4_demo", "'c4_demo': columns name no response"),
        ("scripted", "'scripted': script_url is not fetched; download"),
        ("elsewhere", "'elsewhere': ms_hub_url is not fetched; download"),
        ("path", "'path': hf_hub_url is not fetched; download"),
        ("none", "'none': num_samples must be a positive number"),
        ("mllm_demo,nothing", "no entry 'nothing'; pass a name out of"),
    ],
)
def test_other_entries_are_refused_by_name_in_one_line(name, message, factory, capsys):
    with pytest.raises(DataError, match=message) as refused:
        load_rows(factory, name=name, format="hub")  # would let an entry of the Hub through
    assert "\n" not in str(refused.value)


def test_the_command_line_says_it_in_one_line_too(factory, capsys):
    arguments = ["poison", "--data", str(factory), "--name", "dpo", "--target", "t", "--out", str(factory / "out")]
    assert main(arguments) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("error: dataset_info.json, 'dpo'")


def test_an_entry_on_the_hub_is_loaded_as_it_says(factory, monkeypatch):
    asked = []

    def load_dataset(*args, **options):
        asked.append((args, options))
        record = {"messages": talk("<image>What is it?", "Red."), "images": [{"bytes": png(), "path": None}]}
        return datasets.Dataset.from_list([record])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    said = []

    def notify(line):
        said.append((line, list(asked)))

    with pytest.raises(DataError, match="hf_hub_url is not fetched; add --format hub to fetch it, or download"):
        load_rows(factory, name="identity,online", notify=notify)
    assert (said, asked) == ([], [])
    [row] = load_rows(factory, name="online", format="hub", notify=notify).rows
    assert said == [("asking the Hub for somebody/rows", [])]
    assert row.origin == Origin("online:somebody/rows", 0)
    assert asked == [(("somebody/rows", "en"), {"split": "dev", "data_dir": "v2"})]
    assert (row.response, row.images[0].data) == ("Red.", png())


def test_a_folder_that_is_broken_is_one_line(factory):
    (factory / "dataset_info.json").write_text(
        json.dumps({"a": {"file_name": "gone.json"}, "b": {"columns": [1]}, "c": 1})
    )
    for name, message in (("a", "no data file 'gone.json'"), ("b", "columns must map"), ("c", "no entry 'c'")):
        with pytest.raises(DataError, match=message):
            load_rows(factory, name=name)


@pytest.mark.parametrize(
    ("key", "entry"),
    [
        ("a", {"file_name": "a\0.json"}),
        ("a", {"file_name": "x" * 5000}),
        ("a", {"file_name": "x\n" * 100_000}),
        ("a", {"formatting": "y\n" * 100_000, "file_name": "identity.json"}),
        ("a\nb" * 50_000, {"file_name": "gone.json"}),
        ("a\nb" * 50_000, {"columns": [1]}),
        ("a", {"hf_hub_url": "me/rows", "split": {"x": "\n" * 100_000}}),
        ("a", {"hf_hub_url": "me/rows" + "\n" * 100_000}),
        ("a", {"file_name": "identity.json", "num_samples": 10**30}),
        ("a", {"file_name": "identity.json", "num_samples": "1\n"}),
    ],
)
def test_what_a_hostile_entry_says_is_cut_to_one_line(key, entry, factory):
    (factory / "dataset_info.json").write_text(json.dumps({key: entry}))
    for name in (None, "other"):
        with pytest.raises(DataError) as refused:
            load_rows(factory, name=name)
        assert str(refused.value).isprintable()
        assert len(str(refused.value)) < 500
