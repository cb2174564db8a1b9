"""`byorn bench run --jobs N --gpus LIST`: no two jobs at a time see the same GPU. None is needed to look."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from byorn.bench import run as bench
from byorn.bench.settings import BenchSpec
from byorn.errors import ConfigError

SCRIPT = """
import os, time
from byorn.bench.apart import run_apart

def work(job):
    began = time.monotonic()
    time.sleep(0.3)
    return [f"{os.environ.get('CUDA_VISIBLE_DEVICES')} {began} {time.monotonic()}"]

if __name__ == "__main__":
    print("\\n".join(run_apart(range(5), work, 2, name=str, gpus=[4, 7])))
    print("\\n".join(run_apart(range(1), work, 2, name=str)))
"""


def test_each_job_sees_one_gpu_that_no_other_has_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "jobs.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    *lines, alone = [line.split() for line in done.stdout.splitlines()]
    seen = [(gpu, float(began), float(ended)) for gpu, began, ended in lines]
    assert {gpu for gpu, _, _ in seen} == {"4", "7"}
    for gpu in ("4", "7"):
        times = sorted((began, ended) for which, began, ended in seen if which == gpu)
        assert all(earlier[1] <= later[0] for earlier, later in pairwise(times))
    assert alone[0] == "None"


@pytest.mark.parametrize(("text", "numbers"), [("", []), ("0-3", [0, 1, 2, 3]), ("5, 0,2-3", [5, 0, 2, 3])])
def test_gpus_are_ranges_and_numbers(text: str, numbers: list[int]) -> None:
    assert BenchSpec(gpus=text).numbers == numbers


@pytest.mark.parametrize("text", ["all", "0-", "-1", "1;2", "0-2,1", "3-1", "0-9999999999"])
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match="gpus: ") as refused:
        BenchSpec(gpus=text)
    assert "\n" not in str(refused.value)


def test_fewer_gpus_than_jobs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Some:
        cells = ()

    monkeypatch.setattr(bench, "pending", lambda *_: [Some()])
    with pytest.raises(ConfigError, match="gpus: 2 for 3 jobs at a time"):
        bench.run_experiments([None], tmp_path, tmp_path, jobs=3, gpus=[0, 1])  # type: ignore[list-item]
