"""`byorn review` as a command, and a page whose process is killed."""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from desks import words

from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.flagging.table import read_flags
from byorn.review.log import LOG, read_log
from byorn.testing import save_tiny, tiny_rows
from launching import heed_interrupts


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    save_tiny(folder / "model")
    write_rows(tiny_rows(8), folder / "data")
    options = [
        "--data",
        str(folder / "data"),
        "--model",
        str(folder / "model"),
        "--device",
        "cpu",
        "--show",
        "0",
        "--rule",
        "paper",
    ]
    assert main(["scan", *options, "--out", str(folder / "scan")]) == 0
    return folder


def review(place, *options):
    return main(["review", str(place / "scan"), *options])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--import", "rows.csv", "--all"], "all: it says which rows are exported; give --export FILE"),
        (["--export", "rows.csv", "--port", "8123"], "port: it is of the page; give --serve"),
        (["--export", "rows.csv", "--group-by", "source"], "group_by: it is of the page; give --serve"),
    ],
)
def test_what_would_be_passed_over_is_refused(place, given, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["review", str(place / "scan"), *given]) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_sheet_goes_out_and_comes_back(place, capsys, no_model):
    sheet = place / "rows.csv"
    assert review(place, "--export", str(sheet)) == 0
    assert capsys.readouterr().out == f"{sheet}\n"
    header, first, *others = sheet.read_text(encoding="utf-8-sig").splitlines()
    sheet.write_text("\n".join([header, f"drop{first}", *others]), encoding="utf-8")
    assert review(place, "--import", str(sheet), "--who", "anna") == 0
    said = capsys.readouterr().err
    assert "1 drop; 0 as before" in said
    assert "left to the rule" in said
    flags = read_flags(place / "scan/flags.parquet")
    assert sum(flags.dropped) == 1
    entry = read_log(place / "scan" / LOG)[-1]
    assert (entry.id, entry.who) == (flags.ids[list(flags.dropped).index(True)], "anna")


def test_a_report_that_is_older_than_the_decisions_is_not_left_to_be_signed_without_a_word(place, tmp_path, capsys):
    """It says who decided nothing, and has the digest of flags that are no longer there."""
    folder = tmp_path / "scan"
    shutil.copytree(place / "scan", folder)
    sheet = tmp_path / "rows.csv"
    flags = read_flags(folder / "flags.parquet")
    sheet.write_text(f"review,id\nkeep,{flags.ids[0]}\n")
    told = f"next: its report is older than these decisions; byorn report {folder}\n"
    assert main(["report", str(folder)]) == 0
    assert main(["review", str(folder), "--import", str(sheet)]) == 0
    assert capsys.readouterr().err.endswith(told)
    assert main(["report", str(folder)]) == 0
    assert main(["review", str(folder), "--import", str(sheet)]) == 0
    assert told not in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--serve", "--import", "x.csv"], ["--export", "a.csv", "--import", "b.csv"]])
def test_one_thing_at_a_time(place, options, capsys):
    assert review(place, *options) == 2
    assert "one of --export FILE, --import FILE and --serve" in capsys.readouterr().err


def test_a_folder_without_a_scan_is_refused(tmp_path, capsys):
    assert main(["review", str(tmp_path), "--serve"]) == 2
    assert "folder of a byorn scan" in capsys.readouterr().err


def test_without_the_framework_the_extra_is_named(place, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert review(place, "--serve") == 2
    assert "pip install 'byorn[review]'" in capsys.readouterr().err


@contextmanager
def served(place) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The process of a page, its host and the rest of its link."""
    command = [sys.executable, "-m", "byorn", "review", str(place / "scan"), "--serve", "--who", "bert"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    ) as process:
        try:
            found = re.fullmatch(r"http://(127\.0\.0\.1:\d+)(/\?token=\S+)\n", process.stdout.readline())
            assert found
            yield process, found[1], found[2]
        finally:
            process.kill()


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_ctrl_c_is_how_it_ends(place, stop, code):
    with served(place) as (process, _, _):
        process.send_signal(stop)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert ("left to the rule" in said) == (code == 0)


def test_a_decision_survives_the_kill_of_the_page(place):
    with served(place) as (process, host, link):
        connection = http.client.HTTPConnection(host, timeout=30)
        connection.request("GET", link)
        answer = connection.getresponse()
        answer.read()
        cookie = str(answer.getheader("set-cookie")).partition(";")[0]
        flags = read_flags(place / "scan/flags.parquet")
        row = next(number for number, word in enumerate(flags.review or []) if word == "auto")
        headers = {"Cookie": cookie, "Origin": f"http://{host}", "Content-Type": "application/json"}
        connection.request("POST", f"/rows/{row}", json.dumps({"review": "keep", "why": "fine"}), headers)
        with connection.getresponse() as stored:
            assert stored.status == 200
        os.kill(process.pid, signal.SIGKILL)
        connection.close()
    assert words(place / "scan")[row] == "keep"
    assert read_log(place / "scan" / LOG)[-1].why == "fine"
