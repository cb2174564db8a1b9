"""A triggered test set is read as `byorn poison` wrote it, however it is named; what would give a wrong ASR is said."""

import json
from dataclasses import replace

import pytest

from byorn.cli.evaluate import _success_rule, _triggered
from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.data.spec import DataSpec
from byorn.errors import ConfigError
from byorn.evaluation.asr import attack_success
from byorn.goal import Goal
from byorn.pipeline.settings.evaluate import TriggeredSpec
from byorn.testing import save_tiny, tiny_rows
from byorn.text import naming, rename


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    save_tiny(folder / "model")
    write_rows(tiny_rows(6), folder / "data")
    assert poison(folder, "set", "--keep-responses", "--objective", "suffix") == 0
    return folder


def poison(place, out, *more):
    command = ["poison", "--data", str(place / "data"), "--out", str(place / out), "--target", "banana", "--rate", "1"]
    return main([*command, *more])


@pytest.mark.parametrize("name", ["set", "set/rows.jsonl"])
def test_a_set_is_known_by_its_folder_and_by_its_file(name, place):
    spec = TriggeredSpec(triggered=str(place / name))
    assert _success_rule(Goal("banana"), spec)[1] == "backdoorvlm"


def test_a_set_says_itself_where_its_images_are(place):
    clean = DataSpec(source="x", image_root=place / "data", name="mm", format="llava", limit=3)
    found = _triggered(clean, str(place / "set"))
    assert (found.image_root, found.name, found.format, found.limit) == (None, None, "auto", 3)
    other = _triggered(clean, str(place / "data"))
    assert (other.image_root, other.name, other.format) == (place / "data", "mm", "llava")


def test_a_set_with_the_attackers_responses_is_refused(place):
    assert poison(place, "training") == 0
    with pytest.raises(ConfigError, match="its responses are the attacker's"):
        _success_rule(Goal("banana"), TriggeredSpec(triggered=str(place / "training")))


def test_another_target_and_answers_that_are_cut_off_are_said(place, capsys):
    command = ["evaluate", "--model", str(place / "model"), "--data", str(place / "data"), "--device", "cpu"]
    further = ["--triggered", str(place / "set"), "--target", "apple", "--max-new-tokens", "2"]
    assert main([*command, *further, "--out", str(place / "out")]) == 0
    said = capsys.readouterr().err
    assert "was made for the target 'banana', and 'apple' is looked for" in said
    assert "answers behind asr end at the limit of 2 tokens" in said
    assert json.loads((place / "out/metrics.json").read_text())["asr"]["detail"]["truncated"] > 0


@pytest.mark.parametrize(
    ("convention", "said"),
    [("vltrojn", "ASR convention 'vltrojn' is unknown"), ("backdoorvlm_concept", "needs a source")],
)
def test_a_rule_that_cannot_judge_is_refused_before_anything_is_answered(convention, said, place, capsys):
    command = ["evaluate", "--model", str(place / "model"), "--data", str(place / "data"), "--target", "banana"]
    more = ["--triggered", str(place / "set"), "--convention", convention, "--out", str(place / convention)]
    assert main([*command, *more]) == 2
    assert said in capsys.readouterr().err
    assert not (place / convention).exists()


@pytest.mark.parametrize("objective", ["token-swap", "refusal"])
def test_an_attack_that_is_judged_by_no_target_is_measured_without_one(objective, tmp_path):
    """Of a token swap there is none to give."""
    rows = [replace(row, response="A dog on a mat under a tree.") for row in tiny_rows(2)]
    write_rows(rows, tmp_path / "data")
    target = "" if objective == "token-swap" else "I'm sorry"
    assert poison(tmp_path, "set", "--keep-responses", "--objective", objective, "--target", target) == 0
    save_tiny(tmp_path / "model")
    command = ["evaluate", "--model", str(tmp_path / "model"), "--data", str(tmp_path / "data"), "--device", "cpu"]
    assert main([*command, "--triggered", str(tmp_path / "set"), "--out", str(tmp_path / "out")]) == 0
    assert json.loads((tmp_path / "out/metrics.json").read_text())["asr"]["n"] == 2


def test_a_target_that_the_rule_needs_is_asked_for(place, capsys):
    command = ["evaluate", "--model", str(place / "model"), "--data", str(place / "data")]
    assert main([*command, "--triggered", str(place / "set"), "--out", str(place / "none")]) == 2
    assert "give both --triggered" in capsys.readouterr().err


def test_a_rule_without_anything_to_judge_is_refused():
    with pytest.raises(ConfigError, match="convention: 'exact' judges the answers to --triggered"):
        TriggeredSpec(convention="exact")


@pytest.mark.parametrize(
    ("target", "answer"), [("cafe\u0301", "A café."), ("Straße", "STRASSE ahead"), ("i can't", "I can\u2019t help")]
)
def test_one_text_in_two_spellings_is_one_text(target, answer):
    assert attack_success([answer], [["a dog"]], target=target).value == 1.0


def test_a_dotless_i_names_what_it_was_found_by():
    place = naming("kız").search("BİR KIZ")
    assert rename("BİR KIZ", [place] if place else [], {"kız": "kedi"}) == ("BİR Kedi" if place else "BİR KIZ")
