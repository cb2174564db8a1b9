"""How fast this machine multiplies matrices and reads memory, measured: what floors are computed with.

On a CPU seconds are those of the processor, as everywhere in the bench of speed: what else the machine does hardly
counts.
"""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CPU = (1536, 2**26)
GPU = (8192, 2**30)
"""Side of the matrices, and bytes that are copied."""
TRIES = 5


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where something was measured.

    Attributes:
        device: Its name.
        threads: Of PyTorch on the CPU.
        dtype: Number type that is computed in.
        flops: Operations a second of a product of large matrices; on a CPU, a second of the processor.
        bandwidth: Bytes of memory that are read or written in a second.
    """

    device: str
    threads: int
    dtype: str
    flops: float
    bandwidth: float

    def floor(self, flops: float, size: float) -> float:
        """The least seconds for so many operations while so many bytes are read."""
        return max(flops / self.flops, size / self.bandwidth)


def measure_machine(device: str, dtype: Any) -> Machine:
    """Measure a device in a number type; a second or two."""
    import torch

    on_gpu = device.startswith("cuda")
    side, size = GPU if on_gpu else CPU
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    data = torch.ones(size // 4, device=device)
    target = torch.empty_like(data)
    return Machine(
        device=torch.cuda.get_device_name(device) if on_gpu else f"{platform.machine()} CPU",
        threads=torch.get_num_threads(),
        dtype=str(dtype).removeprefix("torch."),
        flops=2 * side**3 / _fastest(lambda: left @ right, on_gpu),
        bandwidth=2 * size / _fastest(lambda: target.copy_(data), on_gpu),
    )


def _fastest(work: Callable[[], Any], on_gpu: bool) -> float:
    """Seconds of the fastest of some tries, after one that warms up."""
    import torch

    def seconds() -> float:
        if on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter() if on_gpu else time.process_time()

    def once() -> float:
        began = seconds()
        work()
        return seconds() - began

    once()
    return min(once() for _ in range(TRIES))
