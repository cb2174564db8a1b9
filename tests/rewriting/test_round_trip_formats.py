"""Whatever format a data set has, it comes out of a rewriting in that format, and what is not to change does not."""

import json
from dataclasses import replace
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
from originals import FORMATS, alpaca, llava, plain_parquet, wrapped
from originals import saved as saved_folder

from byorn.data.load import LoadedRows, load_rows
from byorn.data.row import Origin
from byorn.rewriting.edit import Edit, Job
from byorn.rewriting.files import rewrite
from byorn.rewriting.images import carry_images


def write_again(loaded: LoadedRows, edits: dict[Origin, Edit], out: Path) -> None:
    """What `byorn rewrite` does, without a scan."""
    for part in loaded.parts:
        for file in part.source.files:
            own = {origin.record: edit for origin, edit in edits.items() if origin.source == file.source}
            rewrite(Job(file.path, own, part.reader.answer, out / "data" / file.name, out / "out" / file.name))
        if part.source.entry is not None:
            name, entry = part.source.entry
            (out / "data/dataset_info.json").write_text(json.dumps({name: entry}))
        if part.source.files[0].name == "train":
            (out / "data/dataset_dict.json").write_text('{"splits": ["train"]}')
    kept = [row for row in loaded.rows if edits[row.origin].keep]
    carry_images(kept, out / "data", link=True)


def again(source: Path, out: Path) -> LoadedRows:
    """The rewritten data set as a user would point to it."""
    return load_rows(out / "data" / source.name if source.is_file() else out / "data")


def told(loaded: LoadedRows) -> list[tuple[str, str, list[bytes]]]:
    """Instruction, response and images of each row; ids may be hashes of them."""
    return [(row.instruction, row.response, [image.read() for image in row.images]) for row in loaded.rows]


@pytest.fixture(params=FORMATS)
def original(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return FORMATS[request.param](tmp_path / "in")


def test_records_that_go_leave_the_others_as_they_are(original, tmp_path):
    loaded = load_rows(original)
    gone = {1, 2, len(loaded.rows) - 1}
    edits = {row.origin: Edit(keep=number not in gone) for number, row in enumerate(loaded.rows)}
    write_again(loaded, edits, tmp_path)
    left = told(again(original, tmp_path))
    assert left == [row for number, row in enumerate(told(loaded)) if number not in gone]


def test_a_new_response_changes_nothing_else(original, tmp_path):
    loaded = load_rows(original)
    chosen = loaded.rows[3]
    edits = {row.origin: Edit() for row in loaded.rows}
    edits[chosen.origin] = Edit(responses={chosen.turn: "A new <answer> \u00e9"})
    write_again(loaded, edits, tmp_path)
    expected = told(loaded)
    expected[3] = (expected[3][0], "A new <answer> \u00e9", expected[3][2])
    result = again(original, tmp_path)
    assert told(result) == expected
    assert [row.meta for row in result.rows] == [row.meta for row in loaded.rows]


def test_marks_are_columns_beside_the_others(original, tmp_path):
    loaded = load_rows(original)
    edits = {
        row.origin: Edit(marks={"byorn_flagged": number == 4, "byorn_score": None if number == 2 else number / 4})
        for number, row in enumerate(loaded.rows)
    }
    write_again(loaded, edits, tmp_path)
    result = again(original, tmp_path)
    assert told(result) == told(loaded)
    metas = [dict(row.meta) for row in result.rows]
    marks = [(meta.pop("byorn_flagged"), meta.pop("byorn_score")) for meta in metas]
    assert marks == [(n == 4, None if n == 2 else n / 4) for n in range(len(loaded.rows))]
    assert metas == [row.meta for row in loaded.rows]


@pytest.mark.parametrize("original", sorted(FORMATS.keys() - {"llama_factory", "saved"}), indirect=True)
def test_with_nothing_to_change_the_files_are_the_same(original, tmp_path):
    """To the last byte; a table in schema, metadata and values."""
    loaded = load_rows(original)
    write_again(loaded, {row.origin: Edit() for row in loaded.rows}, tmp_path)
    for file in loaded.parts[0].source.files:
        again = tmp_path / "data" / file.name
        if again.suffix == ".parquet":
            assert pq.read_table(again).equals(pq.read_table(file.path), check_metadata=True)
        else:
            assert again.read_bytes() == file.path.read_bytes()


def test_untouched_records_of_an_array_keep_their_bytes(tmp_path):
    source = llava(tmp_path)
    loaded = load_rows(source)
    edits = {row.origin: Edit() for row in loaded.rows}
    edits[loaded.rows[0].origin] = Edit(keep=False)
    edits[loaded.rows[4].origin] = Edit(responses={0: "new"})
    write_again(loaded, edits, tmp_path / "out")
    before = source.read_text().split(" ,\n")
    after = (tmp_path / "out/data/train.json").read_text().split(" ,\n")
    assert after[0] == "[\n" + before[1]
    assert after[1:3] + after[4:] == before[2:4] + before[5:]
    changed = json.loads(after[3])
    assert changed == {
        **json.loads(before[4]),
        "conversations": [{**json.loads(before[4])["conversations"][0]}, {"from": "gpt", "value": "new"}],
    }
    assert (tmp_path / "out/out/train.json").read_text() == before[0] + "\n]\n"


def test_what_wraps_an_array_stays_around_it(tmp_path):
    source = wrapped(tmp_path)
    loaded = load_rows(source)
    edits = {row.origin: Edit(keep=number == 1, marks={"m": True}) for number, row in enumerate(loaded.rows)}
    write_again(loaded, edits, tmp_path / "out")
    before, after = json.loads(source.read_text()), json.loads((tmp_path / "out/data/train.json").read_text())
    assert after == {**before, "data": [{**before["data"][1], "m": True}]}
    assert json.dumps(after, indent=2) == (tmp_path / "out/data/train.json").read_text()


def test_lines_keep_their_ends_and_records_that_nobody_scored_stay_out(tmp_path):
    source = alpaca(tmp_path)
    loaded = load_rows(source, limit=6)
    edits = {row.origin: Edit(keep=number != 1) for number, row in enumerate(loaded.rows)}
    write_again(loaded, edits, tmp_path / "out")
    lines = source.read_bytes().splitlines(keepends=True)
    assert (tmp_path / "out/data/a.jsonl").read_bytes() == b"".join([lines[0], *lines[2:7]])
    assert (tmp_path / "out/out/a.jsonl").read_bytes() == lines[1]


def test_a_table_keeps_schema_compression_and_values(tmp_path):
    source = plain_parquet(tmp_path)
    loaded = load_rows(source)
    edits = {row.origin: Edit(keep=number % 4 != 1) for number, row in enumerate(loaded.rows)}
    edits[loaded.rows[2].origin] = Edit(responses={0: "new"})
    write_again(loaded, edits, tmp_path / "out")
    before, after = pq.read_table(source), pq.read_table(tmp_path / "out/data/qa.parquet")
    assert after.schema.equals(before.schema, check_metadata=True)
    kept = [number for number in range(9) if number % 4 != 1]
    expected = before.take(kept).to_pylist()
    expected[1]["answer"] = "new"
    assert after.to_pylist() == expected
    assert pq.ParquetFile(tmp_path / "out/data/qa.parquet").metadata.row_group(0).column(0).compression == "ZSTD"


def test_what_save_to_disk_wrote_opens_with_datasets_and_has_a_fingerprint_of_its_own(tmp_path):
    source = saved_folder(tmp_path)
    loaded = load_rows(source)
    edits = {row.origin: Edit(keep=number != 1, marks={"f": True, "s": 1.5}) for number, row in enumerate(loaded.rows)}
    write_again(loaded, edits, tmp_path / "out")
    before = datasets.load_from_disk(str(source))["train"]
    after = datasets.load_from_disk(str(tmp_path / "out/data"))["train"]
    assert after._fingerprint != before._fingerprint
    assert after.features == {**before.features, "f": datasets.Value("bool"), "s": datasets.Value("float64")}
    rows = [row for number, row in enumerate(before) if number != 1]
    assert [row["messages"] for row in after] == [row["messages"] for row in rows]
    assert [row["images"][0].tobytes() for row in after] == [row["images"][0].tobytes() for row in rows]


def test_marks_are_shown_where_a_saved_data_set_lists_the_columns_that_it_shows(tmp_path):
    source = tmp_path / "saved"
    rows = datasets.Dataset.from_list([{"question": "q", "answer": "a"}] * 3)
    rows.with_format(columns=["question", "answer"]).save_to_disk(source)  # as cast_column leaves it, too
    loaded = load_rows(source)
    write_again(loaded, {row.origin: Edit(marks={"f": True, "s": None}) for row in loaded.rows}, tmp_path / "out")
    shown = datasets.load_from_disk(str(tmp_path / "out/data"))[0]
    assert shown == {"question": "q", "answer": "a", "f": True, "s": None}


def test_marked_parquet_opens_with_datasets(tmp_path):
    (tmp_path / "in").mkdir()
    FORMATS["parquet"](tmp_path / "in")
    loaded = load_rows(tmp_path / "in")
    edits = {row.origin: Edit(marks={"byorn_flagged": True, "byorn_score": 2.0}) for row in loaded.rows}
    write_again(loaded, edits, tmp_path)
    opened = datasets.load_dataset(str(tmp_path / "data"), split="train", cache_dir=str(tmp_path / "cache"))
    assert isinstance(opened[0]["images"][0].size, tuple)
    assert opened.features["byorn_flagged"] == datasets.Value("bool")


@pytest.mark.parametrize(
    ("name", "record", "turns"),
    [
        ("sharegpt", {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}] * 3}, "all"),
        ("alpaca", {"instruction": "q", "output": "b", "history": [["a", "b"], ["a", "b"]]}, "all"),
        ("trl", {"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user",
         "content": "a"}], "completion": [{"role": "assistant", "content": "b"}, {"role": "user", "content": "a"},
         {"role": "assistant", "content": "b"}]}, "all"),
        ("trl", {"prompt": "a", "completion": "b"}, "last"),
        ("trl", {"prompt": "a", "completion": {"role": "assistant", "content": "b"}}, "last"),
        ("trl", {"id": "x", "turn": 5, "prompt": "a", "completion": [{"role": "assistant", "content": "b"}]}, "last"),
        ("captions", {"question": "a", "answer": "b"}, "last"),
        ("captions", {"image": "a.png", "caption": "b"}, "last"),
    ],
)  # fmt: skip
def test_each_turn_is_found_again_by_its_number(name, record, turns, tmp_path):
    if "image" in record:
        FORMATS["image_folder"](tmp_path)
        record = {**record, "image": "0.png"}
    (tmp_path / "one.jsonl").write_text(json.dumps(record) + "\n")
    loaded = load_rows(tmp_path / "one.jsonl", turns=turns, format=name)
    for row in loaded.rows:
        out = tmp_path / f"turn{row.turn}"
        write_again(loaded, {row.origin: Edit(responses={row.turn: "new"})}, out)
        result = load_rows(out / "data/one.jsonl", turns=turns, format=name)
        assert [other.response for other in result.rows] == [
            "new" if other.turn == row.turn else "b" for other in loaded.rows
        ]


def test_an_image_name_that_leads_out_of_the_folder_is_refused(tmp_path):
    from byorn.data.row import ImageFile
    from byorn.errors import DataError
    from byorn.testing import tiny_rows

    (tmp_path / "a.png").write_bytes(b"x")
    row = replace(tiny_rows(1)[0], images=[ImageFile(path=str(tmp_path / "a.png"), name="../a.png")])
    with pytest.raises(DataError, match="leads out"):
        carry_images([row], tmp_path / "out", link=False)


def test_a_file_that_is_read_twice_is_refused(tmp_path):
    from byorn.errors import DataError
    from byorn.pipeline.scanned import require_files

    (tmp_path / "in").mkdir()
    folder = FORMATS["llama_factory"](tmp_path / "in")
    loaded = load_rows(folder)
    require_files(loaded)
    with pytest.raises(DataError, match="the same file"):
        require_files(replace(loaded, parts=loaded.parts * 2))


def test_a_file_that_changed_meanwhile_is_one_line(tmp_path):
    from byorn.errors import DataError

    source = llava(tmp_path)
    loaded = load_rows(source)
    edits = {row.origin: Edit(responses={0: "new"}) for row in loaded.rows}
    source.write_text("[1 2")
    with pytest.raises(DataError, match="cannot be written again"):
        write_again(loaded, edits, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.json"))
