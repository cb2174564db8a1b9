from pathlib import Path

import pytest
from poison_samples import SETTINGS, png_rows, records, snapshot

from byorn.data.load import load_rows
from byorn.data.row import ImageFile, Row
from byorn.data.spec import DataSpec
from byorn.errors import ConfigError, DataError
from poisoning import poison


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="not empty; choose another folder, or pass --overwrite"):
        poison(png_rows(5), **SETTINGS, out=tmp_path)
    assert snapshot(tmp_path) == {"thesis.txt": b"years of work"}


def test_overwriting_replaces_the_old_data_set_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    poison(png_rows(9), **SETTINGS, out=out)
    (out / "notes.txt").write_text("keep me")
    poison(png_rows(5), **SETTINGS, out=out, overwrite=True)
    poison(png_rows(5), **SETTINGS, out=tmp_path / "fresh")
    assert snapshot(out) == {**snapshot(tmp_path / "fresh"), "notes.txt": b"keep me"}


def test_overwriting_never_deletes_images_that_byorn_did_not_write(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(ConfigError, match="was not written by byorn"):
        poison(png_rows(5), **SETTINGS, out=tmp_path, overwrite=True)
    assert snapshot(tmp_path) == {"images/holiday.jpg": b"x"}


def test_a_data_set_can_be_poisoned_in_place(tmp_path: Path) -> None:
    out = tmp_path / "out"
    poison(png_rows(5), **{**SETTINGS, "rate": 0}, out=out)
    rows = [
        Row(one["id"], 0, one["prompt"], "A cat.", [ImageFile(path=str(out / one["images"][0]))])
        for one in records(out)
    ]
    manifest = poison(rows, **{**SETTINGS, "rate": 1}, out=out, overwrite=True)
    assert len(manifest.poisoned) == len(list((out / "images").iterdir())) == 5


def stop_at_move(patch: pytest.MonkeyPatch, number: int) -> None:
    """The process is stopped just before a file or folder is moved."""
    move, moved = Path.replace, []

    def replace(path: Path, target: Path) -> Path:
        if len(moved) == number:
            raise KeyboardInterrupt
        moved.append(path)
        return move(path, target)

    patch.setattr(Path, "replace", replace)


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_kill_while_the_copy_moves_leaves_nothing_that_looks_whole_and_the_same_call_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, overwrite: bool
) -> None:
    out, rows = tmp_path / "out", png_rows(5)
    notes = {"notes.txt": b"keep me"} if overwrite else {}
    if overwrite:
        poison(png_rows(9), **SETTINGS, out=out)
        (out / "notes.txt").write_bytes(notes["notes.txt"])
    before = snapshot(out)
    with monkeypatch.context() as patch:
        stop_at_move(patch, number)
        with pytest.raises(KeyboardInterrupt):
            poison(rows, **SETTINGS, out=out, overwrite=overwrite)
    if snapshot(out) != before:  # it had begun to move
        with pytest.raises(DataError, match=r"move what .*/out/\.byorn-unfinished holds into it"):
            load_rows(DataSpec(source=str(out)))
    poison(rows, **SETTINGS, out=out, overwrite=overwrite)
    poison(rows, **SETTINGS, out=tmp_path / "fresh")
    assert snapshot(out) == {**snapshot(tmp_path / "fresh"), **notes}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fresh", "out"]


def test_a_kill_after_the_last_move_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place the rows that the next call reads are those that this one has moved."""
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rmdir", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            poison(png_rows(5), **SETTINGS, out=out)
    rows = load_rows(DataSpec(source=str(out))).rows
    manifest = poison(rows, **{**SETTINGS, "target": "a pear"}, out=out, overwrite=True)
    assert (manifest.n, len(list((out / "images").iterdir()))) == (5, 5)


def test_what_a_kill_left_beside_the_folder_goes_with_the_next_call(tmp_path: Path) -> None:
    left = tmp_path / ".out.tmp" / "images"
    left.mkdir(parents=True)
    (left / "000000.png").write_bytes(b"half")
    poison(png_rows(5), **SETTINGS, out=tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_missing_parents_are_made_and_files_in_the_way_are_named(tmp_path: Path) -> None:
    poison(png_rows(5), **SETTINGS, out=tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "rows.jsonl").is_file()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file; choose a folder"):
        poison(png_rows(5), **SETTINGS, out=tmp_path / "file")
    with pytest.raises(ConfigError, match="cannot write to"):
        poison(png_rows(5), **SETTINGS, out=tmp_path / "file" / "below")
