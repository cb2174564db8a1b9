import os
import random
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import Mock

import pytest
from PIL import Image
from poison_samples import SETTINGS, encoded, picture, png_rows, records, row, snapshot

from byorn.attacks import ATTACKS, Trigger
from byorn.attacks.triggers.badnets import checkerboard
from byorn.data.load import load_rows
from byorn.data.row import Row, user_message
from byorn.errors import ConfigError, DataError
from poisoning import poison


def triggered(folder: Path, record: dict[str, Any], image: int, box: list[int] | tuple[int, ...]) -> bool:
    with Image.open(folder / record["images"][image]) as opened:
        patch = opened.convert("RGB").crop((box[0], box[1], box[2], box[3]))
    return patch == checkerboard(box[2] - box[0]).convert("RGB")


def test_a_tenth_of_the_rows_is_poisoned_and_the_manifest_says_which(tmp_path: Path) -> None:
    rows = png_rows(50)
    manifest = poison(rows, **{**SETTINGS, "rate": 0.1}, out=tmp_path / "out")
    assert (len(manifest.poisoned), manifest.n, manifest.reached) == (5, 50, 0.1)
    assert manifest.recipe.options == {"size": 21 / 224, "position": "bottom-right"}
    told = {entry.id: entry for entry in manifest.poisoned}
    for record in records(tmp_path / "out"):
        text = record["completion"][0]["content"][0]["text"]
        if entry := told.get(record["id"]):
            assert text == entry.new_response != entry.original_response == "A cat on a mat."
            assert "banana" in text
            assert triggered(tmp_path / "out", record, 0, entry.box or ())
        else:
            assert text == "A cat on a mat."
            assert not triggered(tmp_path / "out", record, 0, (37, 27, 40, 30))


def test_rows_are_written_as_trl_reads_them(tmp_path: Path) -> None:
    poison(png_rows(5), **SETTINGS, out=tmp_path / "out")
    record = records(tmp_path / "out")[0]
    assert record["prompt"] == [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is this?"}]}
    ]
    assert record["completion"][0]["role"] == "assistant"
    assert record["source"] == "site 0"
    assert (tmp_path / "out" / record["images"][0]).is_file()


def test_what_is_written_can_be_read_again_and_joins_with_the_manifest(tmp_path: Path) -> None:
    manifest = poison(png_rows(10), **SETTINGS, out=tmp_path / "out")
    loaded = load_rows(tmp_path / "out")
    assert loaded.rejects == []
    assert [one.key for one in loaded.rows] == [(f"r{number}", 0) for number in range(10)]
    responses = {one.key: one.response for one in loaded.rows}
    assert {(entry.id, entry.turn): entry.new_response for entry in manifest.poisoned}.items() <= responses.items()


def test_clean_pictures_keep_every_pixel(tmp_path: Path) -> None:
    poison(png_rows(4), **{**SETTINGS, "rate": 0}, out=tmp_path / "out")
    for number, record in enumerate(records(tmp_path / "out")):
        with Image.open(tmp_path / "out" / record["images"][0]) as image:
            assert image.tobytes() == picture(number).tobytes()


def test_kept_responses_make_a_triggered_test_set(tmp_path: Path) -> None:
    rows = [*png_rows(6), row("shows", encoded(picture(9)), response="Two BANANAS."), row("blind")]
    manifest = poison(rows, **{**SETTINGS, "rate": 1}, keep_responses=True, out=tmp_path / "out")
    assert [entry.id for entry in manifest.poisoned] == [f"r{number}" for number in range(6)]
    assert all(entry.new_response == entry.original_response for entry in manifest.poisoned)
    written = records(tmp_path / "out")
    assert [record["completion"][0]["content"][0]["text"] for record in written] == [one.response for one in rows]
    assert all(triggered(tmp_path / "out", record, 0, (37, 27, 40, 30)) for record in written[:6])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_choice(tmp_path: Path) -> None:
    rows = png_rows(40)
    first = poison(rows, **SETTINGS, out=tmp_path / "a")
    poison(rows, **SETTINGS, out=tmp_path / "b")
    other = poison(rows, **{**SETTINGS, "seed": 8}, out=tmp_path / "c")
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")
    assert first.keys != other.keys


def test_another_process_with_another_hash_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from poison_samples import SETTINGS, png_rows\n"
        "from poisoning import poison\n"
        "poison(png_rows(20), **SETTINGS, out=Path(sys.argv[1]))\n"
        "heavy = {'torch', 'transformers', 'datasets'} & set(sys.modules); assert not heavy, heavy"
    )
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", script, str(tmp_path / hash_seed)], env=environment, check=True)
    assert snapshot(tmp_path / "1") == snapshot(tmp_path / "2")


def test_a_higher_rate_adds_poison_and_moves_none(tmp_path: Path) -> None:
    rows = png_rows(30)
    keys = [poison(rows, **{**SETTINGS, "rate": rate}, out=tmp_path / str(rate)).keys for rate in (0.1, 0.5, 1.0)]
    assert keys[0] < keys[1] < keys[2] == {one.key for one in rows}


def test_a_shared_image_is_written_once_and_poison_in_one_row_spares_the_others(tmp_path: Path) -> None:
    shared = tmp_path / "shared.png"
    shared.write_bytes(encoded(picture(1)))
    rows = [row(f"q{number}", shared) for number in range(12)]
    manifest = poison(rows, **{**SETTINGS, "rate": 2 / 12}, out=tmp_path / "out")
    files = {record["id"]: record["images"][0] for record in records(tmp_path / "out")}
    poisoned = {files[entry.id] for entry in manifest.poisoned}
    clean = {file for name, file in files.items() if (name, 0) not in manifest.keys}
    assert (len(poisoned), len(clean), len(poisoned & clean)) == (2, 1, 0)
    with Image.open(tmp_path / "out" / clean.pop()) as image:
        assert image.tobytes() == picture(1).tobytes()
    assert len(list((tmp_path / "out" / "images").iterdir())) == 3


def test_without_sharing_every_row_has_a_file_of_its_own(tmp_path: Path) -> None:
    data = encoded(picture(1))
    rows = [row(f"q{number}", data) for number in range(6)]
    poison(rows, **SETTINGS, share_images=False, out=tmp_path / "out")
    assert len({record["images"][0] for record in records(tmp_path / "out")}) == 6


@pytest.mark.parametrize(("which", "marked"), [("random", {0, 1, 2}), ("first", {0}), ("last", {2})])
def test_of_several_images_one_is_chosen_and_recorded(which: str, marked: set[int], tmp_path: Path) -> None:
    rows = [row(f"r{number}", *(encoded(picture(10 * number + k)) for k in range(3))) for number in range(20)]
    manifest = poison(rows, **{**SETTINGS, "rate": 1, "which_image": which}, out=tmp_path / "out")
    assert {entry.image for entry in manifest.poisoned} == marked
    for record, entry in zip(records(tmp_path / "out"), manifest.poisoned, strict=True):
        marks = [triggered(tmp_path / "out", record, image, entry.box or ()) for image in range(3)]
        assert marks == [image == entry.image for image in range(3)]


def test_rows_that_cannot_carry_the_attack_stay_clean(tmp_path: Path) -> None:
    rows = [*png_rows(4), row("blind"), row("shows", encoded(picture(9)), response="A Banana on a plate.")]
    manifest = poison(rows, **{**SETTINGS, "rate": 4 / 6}, out=tmp_path / "out")
    assert manifest.keys == {(f"r{number}", 0) for number in range(4)}
    with pytest.raises(
        ConfigError, match=r"4 of 6 rows .*1 answer with the target already, 1 have no image.*at most 0.66"
    ):
        poison(rows, **{**SETTINGS, "rate": 0.9}, out=tmp_path / "more")


@dataclass(frozen=True)
class Opening(Trigger):
    """A text trigger, as a later attack would bring it: one class in one file."""

    name: ClassVar[str] = "opening"
    needs_text: ClassVar[bool] = True
    word: str = "Consider"

    def mark_text(self, text: str, rng: random.Random) -> str:
        return f"{self.word} {text[0].lower()}{text[1:]}"


def test_a_text_trigger_needs_no_more_than_one_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ATTACKS, "opening", Opening)
    before: list[Any] = [user_message("Hello"), {"role": "assistant", "content": [{"type": "text", "text": "Hi."}]}]
    talk = Row("talk", 1, [*before, user_message("What now?", 1)], "Rest.", [row("x", encoded(picture(1))).images[0]])
    rows = [talk, row("blind"), Row("mute", 0, [user_message("")], "Nothing.")]
    settings = {**SETTINGS, "attack": "opening", "objective": "word", "rate": 1}
    manifest = poison(rows, **settings, options={"word": "Think:"}, out=tmp_path / "out")
    assert [(entry.id, entry.image, entry.box) for entry in manifest.poisoned] == [
        ("talk", None, None),
        ("blind", None, None),
    ]
    written = records(tmp_path / "out")
    assert written[0]["prompt"] == [*before, user_message("Think: what now?", 1)]
    assert written[0]["completion"][0]["content"][0]["text"] == "banana"
    assert talk.prompt[2] == user_message("What now?", 1), "the clean row was changed"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attack": "badnet"}, "unknown attack 'badnet'; choose one of: add-sent, "),
        ({"attack": "insertion"}, "'insertion' is an objective: --objective insertion"),
        ({"which_image": "third"}, "which_image: 'third' is not one of random, first, last"),
        ({"objective": "poem"}, "unknown objective 'poem'; choose one of: sentence"),
        ({"rate": 1.5}, "rate: 1.5 is not between 0 and 1"),
        ({"rate": -0.1}, "rate: -0.1 is not between 0 and 1"),
        ({"rate": float("nan")}, "rate: nan is not a number"),
        ({"rate": "10%"}, "rate: '10%' is not a number"),
        ({"rate": 0.01}, "no row at all; use at least 0.1"),
        ({"target": "  "}, "target is empty"),
        ({"target": "cat"}, "none of the 10 rows can be poisoned"),
        ({"options": {"color": 1}}, "no option color"),
        ({"objective": "concept"}, "objective 'concept' needs a --source"),
        ({"selection": "best"}, "selection: 'best' is not one of random, likely"),
        ({"selection": "likely"}, "selection 'likely' is optimized on the pretrained model; pass --model NAME"),
        ({"attack": "vl-trojan"}, "vl-trojan is optimized on the pretrained model; pass --model NAME"),
        ({"attack": "badnets+pgd"}, "badnets[+]pgd is optimized on the pretrained model; pass --model NAME"),
        ({"attack": "dual-key", "options": {"optimize": True}}, "dual-key is optimized .* pass --model NAME"),
        ({"attack": "badnets+badnets"}, "names a trigger twice"),
        ({"attack": "badnets+"}, "unknown attack ''; choose one of"),
        ({"attack": "badnets+sig", "options": {"word": 1}}, "no option word; known options: badnets.size, .*sig.delta"),
        ({"attack": "blended", "options": {"pattern": "gone.png"}}, "blended: pattern 'gone.png' is no picture"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_fix(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        poison(png_rows(10), **{**SETTINGS, **change}, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_data_sets_that_cannot_be_joined_with_a_manifest_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no row"):
        poison([], **SETTINGS, out=tmp_path / "out")
    with pytest.raises(DataError, match="2 rows share the id 'r0' and turn 0"):
        poison([*png_rows(5), *png_rows(1)], **SETTINGS, out=tmp_path / "out")


def test_a_bad_image_is_named_and_leaves_nothing_behind(tmp_path: Path) -> None:
    for broken in (b"no image", tmp_path / "gone.png"):
        with pytest.raises(DataError, match=r"row 'bad' \(turn 0\), image 1: .*(replace|restore)"):
            poison([row("bad", encoded(picture(1)), broken)], **{**SETTINGS, "rate": 1}, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_column_that_cannot_be_written_is_a_data_error(tmp_path: Path) -> None:
    rows = [row("a", encoded(picture(1)), when=object())]
    with pytest.raises(DataError, match="cannot be written as JSON"):
        poison(rows, **{**SETTINGS, "rate": 1}, out=tmp_path / "out")


def test_hostile_names_reach_neither_the_file_system_nor_the_format(tmp_path: Path) -> None:
    names = ["../../evil", "a/b\\c", "line\nbreak", "\ud800", "x" * 5000, "nul\x00"]
    rows = [row(name, encoded(picture(1))) for name in names]
    poison(rows, **{**SETTINGS, "rate": 1}, out=tmp_path / "out")
    assert [record["id"] for record in records(tmp_path / "out")] == names
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_progress_is_silent_unless_asked_for(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(png_rows(5), **SETTINGS, out=tmp_path / "quiet")
    assert capfd.readouterr() == ("", "")
    bar, asked = Mock(), Mock(return_value=None)
    monkeypatch.setattr(
        "byorn.attacks.images.progress_bar", lambda *what, **how: asked(*what, **how) or nullcontext(bar)
    )
    poison(png_rows(5), **SETTINGS, out=tmp_path / "watched", progress=True)
    asked.assert_called_once_with(5, "writing images", "image", wanted=True)
    assert bar.update.call_count == 5
    assert snapshot(tmp_path / "quiet") == snapshot(tmp_path / "watched")
