"""A little of `make kill`, for every change: commands are killed, run to the end, and leave what others leave."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kill import Case, differences, read_cases, summary


@pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forks")
def test_a_killed_command_leaves_what_one_that_was_not_killed_leaves(tmp_path: Path) -> None:
    command = [sys.executable, str(Path(__file__).with_name("kill.py")), "--kills", "4", "--seed", "5"]
    only = ["--only", "scan", "--only", "rewrite"]
    done = subprocess.run(
        [*command, *only, "--work", str(tmp_path)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cases = read_cases(tmp_path / "cases.jsonl", 5)
    for subject, said in zip(("scan", "rewrite"), done.stdout.splitlines(), strict=True):
        those = [case for case in cases if case.subject == subject]
        assert sum(len(case.kills) for case in those) >= 2
        assert said == summary(subject, those)


def test_whatever_is_not_equal_is_named() -> None:
    assert differences({"scores": "a", "left": []}, {"scores": "a", "left": []}) == []
    assert differences({"scores": "a", "flags": "b"}, {"scores": "c", "adapter": "d"}) == ["scores", "flags", "adapter"]


def test_cases_of_another_seed_are_not_those_of_this_one(tmp_path: Path) -> None:
    cases = [Case("scan", 0, 1, [("SIGKILL", 0.5)], []), Case("scan", 0, 2, [], ["flags"])]
    (tmp_path / "cases.jsonl").write_text("".join(json.dumps(vars(case)) + "\n" for case in cases))
    assert read_cases(tmp_path / "cases.jsonl", 2) == cases[1:]
    assert read_cases(tmp_path / "none.jsonl", 2) == []
