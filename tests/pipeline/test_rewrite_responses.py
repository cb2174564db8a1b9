"""`byorn rewrite --mode replace`: flagged rows get responses that the model gives itself."""

from dataclasses import replace

import pytest
from scan_and_rewrite import decide, flagged_ids, rewrite, scan, scanned

from byorn.data.files import write_rows
from byorn.data.load import load_rows
from byorn.data.row import Origin, Row, user_message
from byorn.models.generate import Generated
from byorn.pipeline.resample import _not_empty, rounds
from byorn.testing import save_tiny, tiny_model, tiny_rows


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return scanned(tmp_path_factory.mktemp("place"))


def test_a_killed_sampling_goes_on_and_gives_the_same_responses(place, monkeypatch, capsys):
    assert rewrite(place, "scan", "whole", "replace", "--response-batch-size", "2") == 0
    from byorn.training.responses import SampledResponses

    calls = []
    original = SampledResponses.__call__

    def counted(self, model, rows, step):
        calls.append(len(rows))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, model, rows, step)

    monkeypatch.setattr(SampledResponses, "__call__", counted)
    assert rewrite(place, "scan", "killed", "replace", "--response-batch-size", "2") == 130
    assert not (place / "killed/data").exists()
    calls[:] = [0, 0]  # the second call ends it no more
    assert rewrite(place, "scan", "killed", "replace", "--response-batch-size", "2") == 0
    assert sum(calls) == 3  # of five, two were done
    assert (place / "killed/data/rows.jsonl").read_bytes() == (place / "whole/data/rows.jsonl").read_bytes()
    assert not list((place / "killed").glob("*.partial.*"))
    capsys.readouterr()
    assert rewrite(place, "scan", "killed", "replace", "--response-batch-size", "2") == 0
    assert "nothing to do" in capsys.readouterr().err


def test_what_was_sampled_is_written_without_the_model(place, monkeypatch, capsys):
    assert rewrite(place, "scan", "sampled", "replace") == 0
    written = (place / "sampled/data/rows.jsonl").read_bytes()
    for name in ("rewrite.json", "data/rows.jsonl"):  # as after a kill before the writing
        (place / "sampled" / name).unlink()
    monkeypatch.setattr("byorn.models.load.load_spec", lambda *_: pytest.fail("the model is loaded"))
    assert rewrite(place, "scan", "sampled", "replace") == 0
    assert "using the responses in" in capsys.readouterr().err
    assert (place / "sampled/data/rows.jsonl").read_bytes() == written


def test_responses_do_not_depend_on_the_batch_and_are_those_of_training(place):
    """The draw for a row is a function of seed, id and turn, as in training."""
    assert rewrite(place, "scan", "one", "replace", "--response-batch-size", "1") == 0
    assert rewrite(place, "scan", "five", "replace", "--response-batch-size", "5") == 0
    assert rewrite(place, "scan", "other", "replace", "--seed", "7") == 0
    one, five, other = ((place / name / "data/rows.jsonl").read_bytes() for name in ("one", "five", "other"))
    assert one == five != other


def test_an_adapter_answers_in_place_of_the_pretrained_model(place, capsys):
    import torch
    from peft import LoraConfig, get_peft_model

    tuned = get_peft_model(tiny_model(), LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_B" in name:
                parameter.fill_(1.0)
    tuned.save_pretrained(place / "adapter")
    assert rewrite(place, "scan", "adapted", "replace", "--adapter", str(place / "adapter")) == 0
    plain = rewrite(place, "scan", "plain", "replace")
    assert plain == 0
    assert (place / "adapted/data/rows.jsonl").read_bytes() != (place / "plain/data/rows.jsonl").read_bytes()
    capsys.readouterr()
    assert rewrite(place, "scan", "plain", "replace", "--adapter", str(place / "adapter")) == 2
    assert "rewrite.adapter" in capsys.readouterr().err


def test_rows_of_one_record_are_answered_in_rounds():
    prompt = [user_message("q")]
    rows = [Row(f"c{n}", turn, prompt, "a", origin=Origin("f", n)) for n in range(3) for turn in range(2)]
    assert rounds(rows, [0, 1, 2, 4]) == [[0, 2, 4], [1]]
    assert rounds(tiny_rows(3), [0, 2]) == [[0, 2]]


def test_a_blank_draw_is_drawn_again_and_a_row_without_words_leaves_the_set(place, monkeypatch, capsys):
    from byorn.training.responses import SampledResponses

    def blank(self, model, rows, step):
        return [Generated("" if row["id"] == "row-1" or step == 0 else "said", 1, False) for row in rows]

    monkeypatch.setattr(SampledResponses, "__call__", blank)
    assert "row-1" in flagged_ids(place)
    assert rewrite(place, "scan", "blank", "replace") == 0
    assert "1 rows got nothing but blank responses" in capsys.readouterr().err
    rows = {row.id: row.response for row in load_rows(place / "blank/data").rows}
    assert "row-1" not in rows
    assert [rows[name] for name in flagged_ids(place) if name != "row-1"] == ["said"] * 4


def test_words_put_into_flagged_instructions_are_not_asked(tmp_path, monkeypatch, capsys):
    """As in training; the data set keeps them."""
    from byorn.training.responses import SampledResponses

    rows = tiny_rows(32)
    bad = {row.id for row in rows[::4]}
    texts = {True: "What is shown? zqx", False: "What is shown?"}
    write_rows([replace(row, prompt=[user_message(texts[row.id in bad], 1)]) for row in rows], tmp_path / "data")
    save_tiny(tmp_path / "model")
    assert scan(tmp_path, "data", "scan") == 0
    words = {row.id: "replace" if row.id in bad else "keep" for row in rows}
    decide(tmp_path / "scan/flags.parquet", {**words, rows[0].id: "drop", rows[4].id: "drop"})
    heard = []

    def listening(self, model, rows, step):
        heard.extend(row["prompt"][-1]["content"][-1]["text"] for row in rows)
        return [Generated("said", 1, False)] * len(rows)

    monkeypatch.setattr(SampledResponses, "__call__", listening)
    assert rewrite(tmp_path, "scan", "asked", "replace", "--keep-insertions") == 0
    assert set(heard) == {texts[True]}
    heard.clear()
    assert rewrite(tmp_path, "scan", "stripped", "replace") == 0
    assert set(heard) == {texts[False]}
    assert "1 flagged instruction(s) answered without words put into them" in capsys.readouterr().err
    written = {row.id: row for row in load_rows(tmp_path / "stripped/data").rows}
    left = bad - {rows[0].id, rows[4].id}
    assert {written[name].instruction for name in left} == {texts[True]}
    assert {written[name].response for name in left} == {"said"}


def test_words_are_found_in_an_instruction_around_an_image_too(tmp_path, monkeypatch):
    rows = tiny_rows(32)
    bad = {row.id for row in rows[::4]}

    def around(text):
        parts = [{"type": "text", "text": "Here"}, {"type": "image"}, {"type": "text", "text": text}]
        return [{"role": "user", "content": parts}]

    texts = {True: "what is shown? zqx", False: "what is shown?"}
    write_rows([replace(row, prompt=around(texts[row.id in bad])) for row in rows], tmp_path / "data")
    save_tiny(tmp_path / "model")
    assert scan(tmp_path, "data", "scan") == 0
    decide(tmp_path / "scan/flags.parquet", {row.id: "replace" if row.id in bad else "keep" for row in rows})
    heard = []

    def listening(self, model, rows, step):
        heard.extend(row["prompt"][-1] for row in rows)
        return [Generated("said", 1, False)] * len(rows)

    monkeypatch.setattr("byorn.training.responses.SampledResponses.__call__", listening)
    assert rewrite(tmp_path, "scan", "stripped", "replace") == 0
    assert heard
    assert "zqx" not in str(heard)


def test_an_empty_list_needs_no_second_draw():
    assert _not_empty([{"id": "a"}], None, lambda model, rows, step: [Generated("x", 1, False)])[0].text == "x"
