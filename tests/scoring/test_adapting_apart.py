"""Several processes adapt to a half each, and all of them have what one process trains, to the last bit."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from adapting import ROWS
from safetensors.torch import load_file

from byorn.models import group
from byorn.runs.batches import WHOLE, Shard
from byorn.scoring.adaptation import PROBED
from launching import in_group

Result = tuple[dict[str, Any], dict[str, torch.Tensor]]


def adapted(processes: int, folder: Path, *more: str) -> None:
    done = in_group(processes, str(Path(__file__).with_name("adapting.py")), str(folder), *more, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]


def read(folder: Path, rank: int) -> Result:
    return json.loads((folder / f"{rank}.json").read_text()), load_file(folder / f"{rank}.safetensors")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("alone")
    adapted(1, folder)
    return read(folder, 0)


@pytest.mark.parametrize("processes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_each_takes_a_half_and_has_both_adapters_in_the_end(processes: int, alone: Result, tmp_path: Path) -> None:
    adapted(processes, tmp_path)
    expected, weights = alone
    steps = expected["steps"].count(0)
    assert expected["steps"] == [0] * steps + [1] * steps != []
    for rank in range(processes):
        seen, found = read(tmp_path, rank)
        assert seen["steps"] == [rank % 2] * steps
        assert seen["medians"] == expected["medians"]
        assert sum(seen["looks"]) == (0 if rank else len(expected["medians"]) * min(PROBED, ROWS // 2))
        assert all(torch.equal(found[name], weight) for name, weight in weights.items())
    assert any(weight.any() for name, weight in weights.items() if "lora_B" in name)


def test_one_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    adapted(2, tmp_path, "--end")
    assert not (tmp_path / "1.json").exists()
    error = read(tmp_path, 0)[0]["error"]
    assert error.startswith("another process has ended, and this one waits for it (")
    assert error.endswith("its own error says why; run the same command again to go on")


def test_processes_that_do_not_find_each_other_adapt_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of several machines meet in files alone, and so does who names no meeting place."""
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert not group.joined(WHOLE)
    assert not group.joined(Shard(1, 2))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    assert not group.joined(Shard(1, 4))
