"""A bench that is killed leaves no worker behind."""

import os
import signal
import subprocess
import sys
import time

SCRIPT = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from byorn.bench.run import end_with_parent

if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 600).result()
"""


def runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_end_with_a_parent_that_was_killed(tmp_path):
    (tmp_path / "bench.py").write_text(SCRIPT)
    with subprocess.Popen([sys.executable, "bench.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as parent:
        worker = int(parent.stdout.readline())
        assert runs(worker)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while runs(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not runs(worker)
