"""Telling the user what happens: one line a decision or result, on standard error, so that standard output stays free
for data.
"""

import os
import sys

from byorn.runs.ranks import is_main


def say(message: str) -> None:
    """Print one line; only the first process of a distributed run speaks."""
    if is_main():
        print(message, file=sys.stderr, flush=True)


def quiet_libraries() -> None:
    """Keep the libraries' own chatter out of the narration, and their telemetry off."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not sys.stderr.isatty():  # in a log file a bar is only noise
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    import logging
    import warnings

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # on a CPU it asks for kernels that nobody wanted
    warnings.filterwarnings("ignore", module=r"(torch|transformers|trl|peft|huggingface_hub)(\..*)?")


def seconds(value: float) -> str:
    """Seconds as people say them: `8.3 s`, `2 min 05 s`."""
    return f"{value:.1f} s" if value < 60 else f"{int(value) // 60} min {int(value) % 60:02d} s"
