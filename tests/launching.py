"""Start a program in several processes of one machine, as its users do: torchrun, gloo, one thread each."""

import os
import subprocess
import sys
from pathlib import Path


def torchrun(processes: int, *arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """What `torchrun --nproc_per_node PROCESSES ARGUMENTS` printed and returned."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*launch, *arguments], cwd=cwd, capture_output=True, text=True, timeout=600, check=False, env=environment
    )
