"""recipes/paper/prepare.py: downloads in miniature become rows that byorn reads, and broken ones one line."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from miniatures import COLORS, encoded, problem, write_karpathy, write_mimic, write_parquet, write_problems

from byorn.data.load import load_rows, require_no_rejects
from byorn.evaluation.predict import references_of
from byorn.testing import PALETTE

PROGRAM = Path(__file__).parents[2] / "recipes" / "paper" / "prepare.py"


def rows_in(folder):
    loaded = load_rows(folder)
    require_no_rejects(loaded)
    return loaded.rows


def colors(row):
    shown = [image.load() for image in row.images]
    assert {image.size for image in shown} == {(224, 224)}
    return [next(name for name, rgb in PALETTE.items() if image.getpixel((112, 112)) == rgb) for image in shown]


def test_instructions_and_base64_images_become_rows(tmp_path, prepare, capsys):
    texts, pictures = write_mimic(tmp_path)
    assert prepare("mimic-it", texts, "--images", pictures, "--out", tmp_path / "ladd") == 0
    assert "12 rows" in capsys.readouterr().out
    rows = rows_in(tmp_path / "ladd")
    assert len(rows) == 12
    assert all(row.response == f"a {colors(row)[0]} square" for row in rows)
    assert {row.instruction for row in rows} == {"What can you see?", "What can you see??", "What can you see???"}
    assert [block["type"] for block in rows[0].prompt[0]["content"]] == ["image", "text"]


def test_it_runs_as_the_page_shows(tmp_path):
    texts, pictures = write_mimic(tmp_path, count=2)
    call = [sys.executable, str(PROGRAM), "mimic-it", str(texts), "--images", str(pictures)]
    made = subprocess.run([*call, "--out", "data/ladd"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (made.returncode, made.stdout) == (0, "data/ladd: 2 rows\n"), made.stderr


def test_the_order_is_shuffled_and_always_the_same(tmp_path, prepare):
    texts, pictures = write_mimic(tmp_path)
    for name in ("one", "two"):
        prepare("mimic-it", texts, "--images", pictures, "--out", tmp_path / name)
    first, second = ((tmp_path / name / "rows.jsonl").read_text() for name in ("one", "two"))
    assert first == second
    ids = [json.loads(line)["id"] for line in first.splitlines()]
    assert ids != sorted(ids)


def test_base64_images_may_be_parquet_and_coco_images_a_folder(tmp_path, prepare):
    texts, pictures = write_mimic(tmp_path, count=4)
    table = json.loads(pictures.read_text())
    columns = {"base64": list(table.values()), "__index_level_0__": list(table)}
    pq.write_table(pa.table(columns), tmp_path / "LA.parquet")
    folder = tmp_path / "train2017"
    folder.mkdir()
    for name, text in table.items():
        (folder / f"{name[-12:]}.jpg").write_bytes(base64.b64decode(text))
    for source in (pictures, tmp_path / "LA.parquet", folder):
        out = tmp_path / f"out-{source.stem}-{source.suffix[1:]}"
        assert prepare("mimic-it", texts, "--images", source, "--out", out) == 0
        assert [colors(row) for row in rows_in(out)] == [[row.response.split()[1]] for row in rows_in(out)]


def test_pairs_keep_their_order_and_held_out_rows_share_no_image(tmp_path, prepare):
    texts, pictures = write_mimic(tmp_path, "CGD", count=20, images=2)
    assert prepare("mimic-it", texts, "--images", pictures, "--hold-out", 2, "--out", tmp_path / "cgd") == 0
    train, test = rows_in(tmp_path / "cgd"), rows_in(tmp_path / "cgd-test")
    assert len(test) == 2
    assert 20 - 3 * 2 <= len(train) < 20 - 2
    for row in [*train, *test]:
        at = COLORS.index(colors(row)[0])
        assert colors(row)[1] == COLORS[(at + 1) % len(COLORS)]
    sources = [{name for row in rows for name in row.meta["sources"]} for rows in (train, test)]
    assert sources[0].isdisjoint(sources[1])


@pytest.mark.parametrize("filepath", [None, "val2014"])
def test_captions_carry_all_their_references(tmp_path, prepare, filepath):
    path, pictures = write_karpathy(tmp_path, filepath=filepath)
    assert prepare("karpathy", path, "--images", pictures, "--out", tmp_path / "coco") == 0
    rows = rows_in(tmp_path / "coco")
    assert len(rows) == 4, "the training split is not asked for"
    for row in rows:
        color = colors(row)[0]
        assert references_of(row) == [f"a {color} square", f"one {color} thing", f"a plain {color} image"]
        assert row.instruction == "Give a caption of one sentence for this image."


def test_references_survive_the_planting_of_a_trigger(tmp_path, prepare):
    from poisoning import poison

    path, pictures = write_karpathy(tmp_path)
    prepare("karpathy", path, "--images", pictures, "--out", tmp_path / "coco")
    before = rows_in(tmp_path / "coco")
    recipe = {"attack": "badnets", "target": "banana", "keep_responses": True, "rate": 1.0, "seed": 0}
    poison(before, out=tmp_path / "triggered", **recipe)
    after = rows_in(tmp_path / "triggered")
    assert [references_of(row) for row in after] == [references_of(row) for row in before]
    assert all(row.images[0].load().getpixel((223, 223)) == (255, 255, 255) for row in after), "the corner is inside"


def test_images_that_another_set_shows_can_be_left_out(tmp_path, prepare):
    texts, pictures = write_mimic(tmp_path, count=2)
    prepare("mimic-it", texts, "--images", pictures, "--out", tmp_path / "ladd")
    path, photos = write_karpathy(tmp_path)
    out = tmp_path / "coco"
    assert prepare("karpathy", path, "--images", photos, "--without", tmp_path / "ladd", "--out", out) == 0
    assert sorted(row.id[-1] for row in rows_in(out)) == ["2", "3"]


def test_questions_end_in_letters(tmp_path, prepare):
    path, pictures = write_problems(tmp_path)
    assert prepare("scienceqa", path, "--images", pictures, "--out", tmp_path / "json") == 0
    assert prepare("scienceqa", write_parquet(tmp_path), "--out", tmp_path / "hub") == 0
    for name in ("json", "hub"):
        rows = rows_in(tmp_path / name)
        assert len(rows) == 4, "neither the question without an image nor that of another split"
        assert all(row.response == "ABCD"[COLORS.index(colors(row)[0])] for row in rows)
        assert all("A. red\nB. blue" in row.instruction for row in rows)
        assert sum(row.instruction.startswith("Context: Look.\n") for row in rows) == 3


def test_a_broken_record_is_left_out_and_said(tmp_path, prepare, capsys):
    texts, pictures = write_mimic(tmp_path, count=6)
    content, table = json.loads(texts.read_text()), json.loads(pictures.read_text())
    keys, images = list(content["data"]), list(table)
    content["data"][keys[0]]["answer"] = "  <image>"
    content["data"][keys[1]]["image_ids"] = "LA_00"
    content["data"][keys[2]] = None
    table[images[3]] = "not base64"
    table[images[4]] = base64.b64encode(b"no image").decode()
    texts.write_text(json.dumps(content))
    pictures.write_text(json.dumps(table))
    assert prepare("mimic-it", texts, "--images", pictures, "--out", tmp_path / "out") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith(": 1 rows")
    assert said[1].startswith(f"5 record(s) left out; the first: {keys[0]}: answer is empty")
    assert len(rows_in(tmp_path / "out")) == 1


def test_no_file_outside_the_folder_is_read_or_written(tmp_path, prepare, capsys):
    path, pictures = write_karpathy(tmp_path)
    (tmp_path / "secret.png").write_bytes(encoded("red"))
    content = json.loads(path.read_text())
    for record, name in zip(
        content["images"], ("../secret.png", str(tmp_path / "secret.png"), "a\0b", "x/../.."), strict=False
    ):
        record["filename"] = name
    path.write_text(json.dumps(content))
    assert prepare("karpathy", path, "--images", pictures, "--out", tmp_path / "out") == 2
    assert "no usable row" in capsys.readouterr().err
    assert list((tmp_path / "out" / "images").iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "content", "says"),
    [
        ("mimic-it", "{", "malformed JSON"),
        ("mimic-it", "[]", "no dict of records under 'data'; is it the right file?"),
        ("karpathy", '{"images": {}}', "no list of records under 'images'"),
        ("karpathy", '{"images": []}', "no usable row; no record of this split"),
        ("karpathy", '{"images": [{"split": "test", "filename": "a.jpg", "filepath": 3, "sentences": [{"raw": "x"}]}]}',
         "filepath is int"),
        ("karpathy", '{"images": [{"split": "test", "filename": "a.jpg", "sentences": ["x"]}]}',
         "an object is expected, not str"),
        ("scienceqa", json.dumps({"1": problem(0, answer=9, image="image.png", split="test")}),
         "answer is 9, with 4 choices"),
        ("scienceqa", json.dumps({"1": problem(0, answer=True, image="image.png", split="test")}), "answer is bool"),
        ("scienceqa", json.dumps({"1": problem(0, image="image.png", split="test")}), "no --images were given"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_line(tmp_path, prepare, capsys, kind, content, says):
    (tmp_path / "source.json").write_text(content)
    assert prepare(kind, tmp_path / "source.json", "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert says in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out" / "rows.jsonl").exists()


def test_rows_that_are_there_are_not_overwritten(tmp_path, prepare, capsys):
    texts, pictures = write_mimic(tmp_path, count=2)
    call = ("mimic-it", texts, "--images", pictures, "--out", tmp_path / "out")
    assert [prepare(*call), prepare(*call)] == [0, 2]
    assert "holds rows already" in capsys.readouterr().err
