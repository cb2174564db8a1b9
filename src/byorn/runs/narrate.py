"""Telling the user what happens: one line a decision or result, on standard error, so that standard output stays free
for data.
"""

import json
import os
import sys
import time

from byorn.runs.ranks import is_main

_json = False


def use_format(name: str) -> None:
    """`text`: lines for people. `json`: one JSON object a line for machines, and no progress bars."""
    global _json
    _json = name == "json"


def for_machines() -> bool:
    """Whether standard error is read by machines."""
    return _json


def say(message: str, **facts: object) -> None:
    """Print one line; only the first process of a distributed run speaks. `facts` are what the line says, for
    machines.
    """
    if not is_main():
        return
    message = as_line(message, **facts)
    bars = sys.modules.get("tqdm")
    if bars is not None and getattr(bars.tqdm, "_instances", None):
        with bars.tqdm.external_write_mode(file=sys.stderr):
            print(message, file=sys.stderr, flush=True)
    else:
        print(message, file=sys.stderr, flush=True)


def as_line(message: str, **facts: object) -> str:
    """A message as it stands on standard error."""
    if not _json:
        return message
    return json.dumps({"time": round(time.time(), 3), "message": message.strip(), **facts}, default=str)


def quiet_libraries() -> None:
    """Keep the libraries' own chatter out of the narration, and their telemetry off."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not sys.stderr.isatty():  # in a log file a bar is only noise
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    import logging
    import warnings

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # on a CPU it asks for kernels that nobody wanted
    warnings.filterwarnings("ignore", message="Image size .* exceeds limit")  # Pillow's; byorn refuses smaller ones
    warnings.filterwarnings("ignore", module=r"(torch|transformers|trl|peft|huggingface_hub)(\..*)?")


def show_any_text() -> None:
    """Let standard output and error take every text: what the terminal's encoding lacks is shown as an escape
    instead of ending the run.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def seconds(value: float) -> str:
    """Seconds as people say them: `8.3 s`, `2 min 05 s`, `3 h 20 min`."""
    if value < 60:
        return f"{value:.1f} s"
    minutes = int(value) // 60
    return f"{minutes} min {int(value) % 60:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def rows_in(rows: int, spent: float) -> str:
    """How many rows took how long: `400 rows in 7.7 s (52 rows/s)`, `6 rows in 14.1 s (2.4 s a row)`."""
    pace = f"{seconds(spent / rows)} a row" if 0 < rows < spent else f"{rows / spent:.0f} rows/s"
    return f"{rows} rows in {seconds(spent)} ({pace})"
