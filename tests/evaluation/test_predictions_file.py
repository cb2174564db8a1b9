"""`predictions.jsonl`: resumed after a kill, shared among processes, and never reused for another model or other
rows.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model

from byorn.errors import MismatchError
from byorn.evaluation import predict
from byorn.models.lora import default_lora
from byorn.pipeline.evaluate import measure
from byorn.runs.journal import require_journal_of
from byorn.runs.sealed import sealed_line
from byorn.testing import tiny_model, tiny_rows

ROWS = tiny_rows(9)


def run(model: Any, processor: Any, folder: Path, rows: Any = ROWS, limit: int = 4) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    found = measure(model, processor, rows, None, folder, None, ["cider", "exact_match"], 2, limit)
    return found.as_dict() if found is not None else {}


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the rows that the model answers."""
    ids, real = [], predict.generate_bounded

    def counting(model: Any, processor: Any, samples: Any, **options: Any) -> Any:
        ids.extend(sample["id"] for sample in samples)
        return real(model, processor, samples, **options)

    monkeypatch.setattr(predict, "generate_bounded", counting)
    return ids


def test_a_killed_evaluation_goes_on_and_says_the_same(
    model: Any, processor: Any, tmp_path: Path, answered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(model, processor, tmp_path / "whole")
    counting = predict.generate_bounded

    def dying(model: Any, processor: Any, samples: Any, **options: Any) -> Any:
        if len(answered) == 4:
            raise KeyboardInterrupt
        return counting(model, processor, samples, **options)

    answered.clear()
    with monkeypatch.context() as patch:
        patch.setattr(predict, "generate_bounded", dying)
        with pytest.raises(KeyboardInterrupt):
            run(model, processor, tmp_path / "killed")
    assert not (tmp_path / "killed" / "predictions.jsonl").exists()
    assert run(model, processor, tmp_path / "killed") == whole
    assert sorted(answered) == sorted(row.id for row in ROWS)  # none twice
    texts = [(tmp_path / name / "predictions.jsonl").read_text() for name in ("whole", "killed")]
    assert texts[0] == texts[1]
    assert run(model, processor, tmp_path / "killed") == whole
    assert len(answered) == len(ROWS)


def test_two_processes_answer_a_share_each_and_the_first_measures_all(
    model: Any, processor: Any, tmp_path: Path, answered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(model, processor, tmp_path / "one")
    answered.clear()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert run(model, processor, tmp_path / "two") == {}
    shares = [len(answered)]
    monkeypatch.setenv("RANK", "0")
    assert run(model, processor, tmp_path / "two") == whole
    assert whole["clean"]["cider"]["n"] == len(ROWS)
    assert [*shares, len(answered)] == [4, 9]
    lines = [json.loads(line) for line in (tmp_path / "two" / "predictions.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [row.id for row in ROWS]
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["predictions.jsonl"]


def test_predictions_of_another_adapter_are_not_taken_for_those_of_this_one(processor: Any, tmp_path: Path) -> None:
    base = tiny_model(processor=processor)
    tuned = get_peft_model(base, default_lora(base)).eval()
    run(tuned, processor, tmp_path)
    run(tuned, processor, tmp_path)
    weight = next(value for name, value in tuned.named_parameters() if "lora_B" in name)
    with torch.no_grad():
        weight += 1e-3
    with pytest.raises(MismatchError, match="jsonl: the adapter changed since it was written; delete it"):
        run(tuned, processor, tmp_path)


@pytest.mark.parametrize("change", ["limit", "references", "response", "fewer"])
def test_predictions_about_something_else_are_refused(model: Any, processor: Any, tmp_path: Path, change: str) -> None:
    run(model, processor, tmp_path)
    rows = {
        "limit": ROWS,
        "references": [replace(ROWS[0], meta={"references": ["other"]}), *ROWS[1:]],
        "response": [replace(ROWS[0], response="other"), *ROWS[1:]],
        "fewer": ROWS[1:],
    }[change]
    what = "the length limit of responses" if change == "limit" else "the data set"
    with pytest.raises(MismatchError, match=f"{what} changed since it was written; delete it or use another --out"):
        run(model, processor, tmp_path, rows, limit=5 if change == "limit" else 4)


def test_predictions_of_which_a_line_was_lost_are_refused(model: Any, processor: Any, tmp_path: Path) -> None:
    run(model, processor, tmp_path)
    path = tmp_path / "predictions.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(MismatchError, match="lines were lost or moved"):
        run(model, processor, tmp_path)


@pytest.mark.parametrize("key", ["prediction", "references", "tokens", "checksum"])
def test_an_edited_prediction_is_refused_and_its_line_is_named(
    model: Any, processor: Any, tmp_path: Path, key: str
) -> None:
    run(model, processor, tmp_path)
    path = tmp_path / "predictions.jsonl"
    lines = path.read_text().splitlines()
    record = json.loads(lines[2])
    record[key] = "banana"
    path.write_text("\n".join([*lines[:2], json.dumps(record), *lines[3:]]))
    with pytest.raises(MismatchError, match="line 3 changed since it was written"):
        run(model, processor, tmp_path)


@pytest.mark.parametrize("line", ["[" * 10_000 + "\n", "nonsense\n", "[]\n", "{}\n", '"text"\n', "null\n"])
def test_a_damaged_file_is_refused_in_one_line(model: Any, processor: Any, tmp_path: Path, line: str) -> None:
    (tmp_path / "predictions.jsonl").write_text(line)
    with pytest.raises(MismatchError) as refusal:
        run(model, processor, tmp_path)
    assert "\n" not in str(refusal.value)


def test_answers_of_a_version_that_named_no_engine_are_those_of_transformers(tmp_path: Path) -> None:
    """Hours of answers survive an upgrade, and are still none of vLLM's."""
    record = {"id": "a", "turn": 0, "instruction": "", "prediction": "red", "references": ["red"], "tokens": 1}
    whole, begun = tmp_path / "predictions.jsonl", tmp_path / "predictions.partial.0.jsonl"
    made_by = "3560348ede8c79cc6d208219"  # BLAKE2b-96 of {"data": "rows", "model_digest": "weights"}
    whole.write_text(sealed_line({**record, "truncated": False, "made_by": made_by}))
    begun.write_text(sealed_line({"data": "rows", "model_digest": "weights"}))
    now = {"data": "rows", "model_digest": "weights", "response_engine": "transformers"}
    rows = [replace(ROWS[0], id="a", turn=0)]
    (found,) = predict.read_predictions(whole, rows, now)
    assert found["prediction"] == "red"
    require_journal_of(begun, now)
    with pytest.raises(MismatchError, match="by another engine"):
        predict.read_predictions(whole, rows, now | {"response_engine": "vllm"})
    with pytest.raises(MismatchError, match="the engine that answers"):
        require_journal_of(begun, now | {"response_engine": "vllm"})
