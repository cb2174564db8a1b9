"""Jobs of a bench in processes of their own: who dies costs nobody else, and nobody outlives the bench."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launching import heed_interrupts

JOBS = """
import os, sys, time
from pathlib import Path
from types import SimpleNamespace
from byorn.bench.apart import run_apart

def work(job):
    Path(job.group.slug).write_text(str(os.getpid()))
    if job.group.slug == "killed":
        os._exit(9)
    time.sleep(job.seconds)
    return [f"{job.group.slug} failed"] if job.group.slug == "fails" else []

def name(job):
    return job.group.slug

def job(slug, seconds=0):
    return SimpleNamespace(group=SimpleNamespace(slug=slug), seconds=seconds)
"""
SHORT = (
    JOBS
    + """
if __name__ == "__main__":
    print(run_apart([job("killed"), job("fails"), job("fine"), job("last")], work, 2, name=name))
"""
)
LONG = (
    JOBS
    + """
if __name__ == "__main__":
    run_apart([job("a", 600), job("b", 600), job("c", 600)], work, 2, name=name)
"""
)


def start(folder: Path, script: str) -> "subprocess.Popen[str]":
    (folder / "bench.py").write_text(script)
    return subprocess.Popen(
        [sys.executable, "bench.py"], cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=heed_interrupts,
    )  # fmt: skip


def wait_for(condition) -> bool:
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def ended(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_process_that_dies_is_named_and_costs_nobody_else(tmp_path):
    with start(tmp_path, SHORT) as bench:
        said = bench.communicate(timeout=60)[0]
    assert said.strip() in (
        str(["killed: the process died; run the same command again", "fails failed"]),
        str(["fails failed", "killed: the process died; run the same command again"]),
    )
    assert {path.name for path in tmp_path.iterdir()} >= {"fine", "last"}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_nobody_outlives_a_bench_that_is_killed_or_interrupted(tmp_path, sent):
    with start(tmp_path, LONG) as bench:
        assert wait_for(lambda: all((tmp_path / name).exists() and (tmp_path / name).read_text() for name in "ab"))
        workers = [int((tmp_path / name).read_text()) for name in "ab"]
        assert not any(map(ended, workers))
        if sent == signal.SIGINT:
            os.killpg(bench.pid, sent)  # as a terminal does
        else:
            bench.send_signal(sent)
        assert wait_for(lambda: all(map(ended, workers)))
        assert wait_for(lambda: bench.poll() is not None)
    assert not (tmp_path / "c").exists()
