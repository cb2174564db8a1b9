"""Jobs in processes of their own, a few at a time: one that dies costs nobody else, and none outlives its parent.

A pool would do neither: a worker that is killed for want of memory breaks the whole pool, and an interrupt goes to
workers that take the next job.
"""

import os
from collections.abc import Callable, Sequence
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import TypeVar, cast

Job = TypeVar("Job")


def run_apart(
    queue: Sequence[Job], run: Callable[[Job], list[str]], jobs: int, *, name: Callable[[Job], str],
    gpus: Sequence[int] = (),
) -> list[str]:  # fmt: skip
    """What `run` returns for each job, together; a line for a job whose process died. At most `jobs` run at a time.

    Args:
        queue: Jobs.
        run: Job -> failures; a function of a module, as the processes are spawned.
        jobs: Processes at a time.
        name: What a message calls a job.
        gpus: At least `jobs` of them; each job sees one that no other has. Without any, all see all.
    """
    context = get_context("spawn")
    waiting = list(queue)
    failures = list[str]()
    free = list(gpus)
    running: dict[Connection, tuple[SpawnProcess, Job, int | None]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                result, theirs = context.Pipe(duplex=False)
                gpu = free.pop(0) if free else None
                process = context.Process(target=_work, args=(run, waiting[0], theirs, gpu))
                process.start()
                theirs.close()
                running[result] = (process, waiting.pop(0), gpu)
            for ready in cast("list[Connection]", wait(list(running))):
                process, job, gpu = running.pop(ready)
                failures += _outcome(ready, name(job))
                process.join()
                free += [] if gpu is None else [gpu]
    finally:
        for process, _, _ in running.values():
            process.terminate()
    return failures


def _work(run: Callable[[Job], list[str]], job: Job, result: Connection, gpu: int | None) -> None:
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(gpu)  # torch looks when it first uses a GPU
    Thread(target=_end_with, args=[parent_process()], daemon=True).start()
    try:
        result.send(run(job))
    except KeyboardInterrupt:  # the parent was interrupted too, and says so
        os._exit(130)


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _outcome(result: Connection, name: str) -> list[str]:
    try:
        failures: list[str] = result.recv()
    except EOFError:
        return [f"{name}: the process died; run the same command again"]
    return failures
