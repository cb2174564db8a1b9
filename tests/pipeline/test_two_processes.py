"""`torchrun -m byorn train`: two processes share one run folder, and it looks like that of one."""

import json
import os
import subprocess
import sys

import pyarrow.parquet as pq

from byorn.data.files import write_rows
from byorn.testing import tiny_model, tiny_processor, tiny_rows


def test_two_processes_leave_one_adapter_and_one_set_of_scores(tmp_path):
    processor = tiny_processor()
    tiny_model(processor=processor).save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    write_rows(tiny_rows(20), tmp_path / "data")
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        "-m",
        "byorn",
        "train",
    ]
    options = [
        "--model",
        "model",
        "--data",
        "data",
        "--out",
        "run",
        "--max-steps",
        "3",
        "--per-device-train-batch-size",
        "2",
    ]
    options += ["--device", "cpu", "--set", "use_cpu=true", "--set", "logging_steps=1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [*launch, *options], cwd=tmp_path, capture_output=True, text=True, timeout=600, env=environment
    )
    assert result.returncode == 0, result.stderr[-3000:]
    report = json.loads((tmp_path / "run" / "training.json").read_text())
    flagged = sum(pq.read_table(tmp_path / "run" / "flags.parquet")["flagged"].to_pylist())
    assert (report["steps"], report["rows"], report["flagged"]) == (3, 20, flagged)
    assert report["arguments"]["world_size"] == 2
    assert pq.read_table(tmp_path / "run" / "scores.parquet").num_rows == 20
    assert (tmp_path / "run" / "adapter" / "adapter_model.safetensors").is_file()
    assert result.stderr.count("of 20 rows: score above") == 1
