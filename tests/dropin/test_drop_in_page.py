"""The scripts of docs/drop-in.md run as they stand there, with a tiny model in the place of the big one."""

import re
from difflib import ndiff
from pathlib import Path

import datasets
import pytest
from trl import SFTTrainer

from byorn import ByornTrainer

PAGE = Path(__file__).parents[2] / "docs" / "drop-in.md"
BEFORE, AFTER, LOADING = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
MODEL = "Qwen/Qwen2.5-VL-3B-Instruct"


@pytest.fixture
def place(tmp_path, monkeypatch, messages):
    (tmp_path / "data").mkdir()
    messages.to_parquet(tmp_path / "data" / "train.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return tmp_path


def run(script: str, model: Path) -> dict:
    """The names that a script leaves; on a CPU, where both trainers want `use_cpu` to be said."""
    names: dict = {}
    script = script.replace(MODEL, str(model)).replace(
        "settings = {", 'settings = {"use_cpu": True, "disable_tqdm": True, '
    )
    exec(compile(script, "drop-in.md", "exec"), names)
    return names


def test_two_lines_differ():
    changes = [line for line in ndiff(BEFORE.splitlines(), AFTER.splitlines()) if line[0] in "+-"]
    assert sorted(line[0] for line in changes) == ["+", "+", "-", "-"]


def test_the_script_runs_before_and_after_and_the_adapter_loads_as_the_page_says(place, saved):
    before = run(BEFORE, saved)["trainer"]
    assert type(before) is SFTTrainer
    after = run(AFTER, saved)["trainer"]
    assert isinstance(after, ByornTrainer)
    assert after.flags.rule == "evidence"
    assert after.flagged.sum() == 0  # nothing is planted in these rows
    assert after.state.global_step == before.state.global_step == 2
    loaded = run(LOADING, saved)["model"]
    assert set(loaded.peft_config) == {"default"}
    assert loaded.peft_config["default"].target_modules == {"q_proj", "v_proj"}
