"""What stands on standard error is byorn's own narration."""

import os
import subprocess
import sys

from byorn.runs.narrate import rows_in

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
