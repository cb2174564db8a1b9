"""Start a program in processes of their own: as users do, or, at a fraction of the cost, forked from a process that
has loaded the libraries.
"""

import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

TIMEOUT, PATIENCE = 600.0, 30.0  # seconds, for a program and for its end
LIBRARIES = ["byorn.cli.main", "byorn.pipeline.train", "byorn.pipeline.evaluate", "byorn.training.trainer"]
"""What a program would load for most of its seconds: torch, transformers, trl and peft come with them."""

SHORT = f"import sys; sys.path.append({str(Path(__file__).parent)!r}); import launching; launching.shorten_scans()"
"""A line for programs that are not forked, see `shorten_scans`."""

Done = subprocess.CompletedProcess[str]


def heed_interrupts() -> None:
    """For `preexec_fn`: a shell starts background jobs deaf to Ctrl-C, and so would be what the tests start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def shorten_scans(replace: Callable[[object, str, object], None] = setattr) -> None:
    """A model of random weights learns no style however long it adapts, and seldom ends what it says: one look, at
    steps of few rows, and few tokens in the answers that a report shows.
    """
    from byorn.pipeline import closer
    from byorn.scoring import adaptation, learning_curve

    replace(closer, "LONGEST", 4)
    replace(adaptation, "LONGEST", learning_curve.LOOK)
    replace(adaptation, "BATCH", 4)


def torchrun(processes: int, *arguments: str, cwd: Path) -> Done:
    """What `torchrun --nproc_per_node PROCESSES ARGUMENTS` (gloo, one thread each) printed and returned."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*launch, *arguments], cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT, check=False, env=environment
    )


def python(*arguments: str, cwd: Path, **environment: str) -> Done:
    """What `python ARGUMENTS` printed and returned; `-m MODULE`, `-c CODE` or a script, and theirs."""
    return _forked([environment], arguments, cwd)


def in_group(processes: int, *arguments: str, cwd: Path) -> Done:
    """What so many processes of one group printed and returned; where one fails, the others are ended, as torchrun
    does.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    group |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    ranks = [{**group, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]
    return _forked(ranks, arguments, cwd)


def _forked(environments: Sequence[dict[str, str]], arguments: Sequence[str], cwd: Path) -> Done:
    context = get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        processes: list[BaseProcess] = [
            context.Process(target=_become, args=(arguments, cwd, {**os.environ, **given}, out, err))
            for given in environments
        ]
        for process in processes:
            process.start()
        return Done(arguments, _ended(processes), out.read_text(), err.read_text())


def _ended(processes: Sequence[BaseProcess]) -> int:
    """The exit code of the first that fails, else 0; none is left."""
    until = time.monotonic() + TIMEOUT
    while any(process.exitcode is None for process in processes) and time.monotonic() < until:
        if any(process.exitcode for process in processes):
            break
        time.sleep(0.02)
    code = next((process.exitcode for process in processes if process.exitcode), None)
    for process in processes:
        process.terminate()  # does nothing to one that has ended
    for process in processes:
        process.join(PATIENCE)
        process.kill()
        process.join()
    return next(process.exitcode or 0 for process in processes) if code is None else code


def _become(arguments: Sequence[str], cwd: Path, environment: dict[str, str], out: Path, err: Path) -> None:
    """In the fork: be the program."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    for number, path in ((1, out), (2, err)):
        with path.open("ab") as file:
            os.dup2(file.fileno(), number)
    kind, *rest = arguments
    if kind in ("-m", "-c"):
        program, *rest = rest
    sys.argv = [kind, *rest]
    if kind == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    elif kind == "-c":
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_path(kind, run_name="__main__")
