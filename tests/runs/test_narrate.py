"""What stands on standard error is byorn's own narration."""

import os
import subprocess
import sys

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
