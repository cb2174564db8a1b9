"""No command opens a socket unless a hub name is given: an audit hook in every Python process hears of each attempt.

The library is not told to stay offline here. What compiled code opens the hook does not hear; see docs/security.md.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from byorn.data.files import write_rows
from byorn.testing import save_tiny, tiny_rows
from launching import SHORT

HOOK = """
import os, sys

def hook(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"):
        unix = getattr(args[0], "family", None) == 1  # between processes of this machine
        if not unix:
            with open(os.environ["BYORN_TEST_SOCKETS"], "a") as file:
                file.write(f"{event} {args!r}\\n")
            os._exit(97)  # at once: the hub's client would try again for minutes

sys.addaudithook(hook)
"""
RUN = f"""{SHORT}
import json, sys
from byorn.cli.main import main
from byorn.models.load import load_processor

for command in json.loads(sys.argv[1]):
    print("ended with", main(command), *command, flush=True)
load_processor("nobody/nothing")
"""
EXPERIMENT = """
title: A small one
task: {train: data, test: data, metric: cider, max_new_tokens: 4}
rows: 8
test_rows: 4
seeds: [0]
model: model
attacks: {badnets: {attack: badnets}}
defenses: [byorn]
arguments: {max_steps: 1, per_device_train_batch_size: 4, max_response_tokens: 3}
"""
MODEL = ["--model", "model", "--data", "data"]
QUICK = ["--max-steps", "2", "--batch-size", "4", "--lr", "1e-3", "--set", "max_response_tokens=3"]
TRIGGERED = ["--triggered", "marked", "--target", "banana", "--max-new-tokens", "4"]
COMMANDS = [
    ["poison", "--data", "data", "--target", "banana", "--rate", "1", "--keep-responses", "--out", "marked"],
    ["scan", *MODEL, "--out", "scan"],
    ["train", *MODEL, *QUICK, "--out", "run", "--set", "save_steps=1", "--set", "dataloader_num_workers=1"],
    ["evaluate", *MODEL, "--adapter", "run/adapter", *TRIGGERED, "--out", "evaluated"],
    ["bench", "run", "small", "--experiments", ".", "--results", "results", "--work", "work"],
    ["bench", "table", "small", "--experiments", ".", "--results", "results"],
    ["demo", "--out", "demo", "--rows", "16", "--test-rows", "4", "--epochs", "1"],
]
SLIPS = [
    ["scan", "--model", "model/trian", "--data", "data"],
    ["scan", "--model", "trian", "--data", "data"],
    ["scan", "--model", "model", "--data", "data/trian"],
    ["evaluate", *MODEL, "--adapter", "trian"],
    ["evaluate", *MODEL, "--adapter", "model/trian"],
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    save_tiny(folder / "model")
    write_rows(tiny_rows(8), folder / "data")
    (folder / "small.yaml").write_text(EXPERIMENT)
    (folder / "hook").mkdir()
    (folder / "hook/sitecustomize.py").write_text(HOOK)
    return folder


def run(place: Path, code: str, *arguments: str) -> tuple["subprocess.CompletedProcess[str]", str]:
    """What became of a process that hears of its sockets, and the attempts."""
    heard = place / "sockets"
    heard.unlink(missing_ok=True)
    online = {key: value for key, value in os.environ.items() if not key.endswith("OFFLINE")}
    paths = [str(place / "hook"), online.get("PYTHONPATH", "")]
    env = {**online, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "BYORN_TEST_SOCKETS": str(heard)}
    env["HF_HOME"] = str(place / "hub")
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=place, env=env, timeout=600)
    return done, heard.read_text() if heard.exists() else ""


def test_the_hook_hears(place):
    """Else the tests below would prove nothing."""
    done, heard = run(place, "import socket; socket.create_connection(('localhost', 9), timeout=1)")
    assert done.returncode == 97
    assert heard.startswith("socket.getaddrinfo")


@pytest.fixture(scope="module")
def session(place):
    """One process that does it all, and asks the hub at its end; it would be over at the first attempt."""
    return run(place, RUN, json.dumps([*COMMANDS, *SLIPS]))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_socket_is_opened(session, command):
    done, heard = session
    assert f"ended with 0 {' '.join(command)}\n" in done.stdout, heard + done.stderr[-2000:]


def test_a_slip_of_the_keyboard_asks_nobody(session):
    """Neither a model nor an adapter nor data, where only a folder can have been meant."""
    done, heard = session
    for command in SLIPS:
        assert f"ended with 2 {' '.join(command)}\n" in done.stdout, heard
    assert done.stderr.count("error: ") == len(SLIPS)


def test_a_hub_name_does_ask(session):
    done, heard = session
    assert done.stdout.count("ended with ") == len(COMMANDS) + len(SLIPS)
    assert done.returncode == 97
    assert heard
