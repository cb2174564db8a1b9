"""The workflow in examples/github: its steps are run by a shell as a runner would, up to the actions of others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from byorn.data.files import write_rows
from byorn.testing import save_tiny, tiny_rows
from launching import SHORT

WORKFLOW = Path(__file__).parents[2] / "examples/github/audit.yml"


@pytest.fixture(scope="module")
def workflow():
    return yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))


def test_its_steps_leave_what_it_uploads(workflow, tmp_path):
    save_tiny(tmp_path / "model")
    write_rows(tiny_rows(8), tmp_path / "data")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin/byorn"
    command.write_text(f"#!{sys.executable}\n{SHORT}\nfrom byorn.__main__ import run\nrun()\n")
    command.chmod(0o755)
    path = {"PATH": f"{command.parent}:{os.environ['PATH']}"}
    environment = {**os.environ, **path, **workflow["env"], "MODEL": str(tmp_path / "model"), "DATA": "data"}
    steps = workflow["jobs"]["scan"]["steps"]
    for step in steps:
        if "run" in step and not step["run"].startswith("pip install"):
            script = ["bash", "-e", "-o", "pipefail", "-c", step["run"]]
            done = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr
    uploads = [step["with"] for step in steps if "upload" in step.get("uses", "")]
    for name in (uploads[0]["path"], uploads[1]["sarif_file"], "runs/scan/report.cdx.json"):
        assert (tmp_path / name).exists()
