"""What stands on standard error is byorn's own narration."""

import json
import os
import subprocess
import sys

import pytest

from byorn.cli.main import main
from byorn.runs.narrate import rows_in, use_format

BARS = ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS")
SELECT = """
from byorn.runs.narrate import quiet_libraries

quiet_libraries()
from datasets import Dataset

Dataset.from_dict({"row": [1, 2, 3]}).select([2, 0]).flatten_indices()
"""


def test_libraries_draw_no_bars_into_a_log_file():
    environment = {name: value for name, value in os.environ.items() if name not in BARS}
    done = subprocess.run([sys.executable, "-c", SELECT], capture_output=True, text=True, env=environment, check=True)
    assert done.stderr == ""


def test_rows_that_take_seconds_each_are_not_told_as_none_a_second():
    assert rows_in(6, 14.1) == "6 rows in 14.1 s (2.4 s a row)"
    assert rows_in(2, 240.0) == "2 rows in 4 min 00 s (2 min 00 s a row)"
    assert rows_in(400, 7.7) == "400 rows in 7.7 s (52 rows/s)"
    assert rows_in(0, 7.7) == "0 rows in 7.7 s (0 rows/s)"


@pytest.mark.parametrize("wrong", [["--set", "x"], ["nowhere"], ["nowhere", "--fail-on", "nothing"]], ids=" ".join)
def test_what_ends_a_command_is_a_line_for_machines_too(wrong, capsys):
    assert main(["report", *wrong, "--log-format", "json"]) == 2
    use_format("text")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines[-1]["message"].startswith("error: ")
    assert lines[-1]["exit_code"] == 2
