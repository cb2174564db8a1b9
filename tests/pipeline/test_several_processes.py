"""`torchrun -m byorn ...`: several processes share one run folder, and it looks like that of one."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
import torch.distributed.nn  # as trainers do: imported later, its functions would keep the group as their default

from byorn import __main__ as process
from byorn.cli.main import main
from byorn.data.dataset import to_dataset
from byorn.data.files import write_rows
from byorn.errors import ConfigError
from byorn.runs import ranks
from byorn.scoring.score import score_dataset
from byorn.testing import save_tiny, tiny_rows
from launching import in_group, torchrun

ROWS, TEST_ROWS, BATCH = 20, 9, 2
TRAIN = (
    f"train --model model --data data --rule paper --out run --max-steps 3 --per-device-train-batch-size {BATCH} "
    "--set logging_steps=1 --set save_steps=2"
)
EVALUATE = (
    "evaluate --model model --adapter run/adapter --data test --metrics cider,exact_match "
    "--max-new-tokens 4 --batch-size 4"
)
THEN_ONE_FAILS = f"""
import os, sys, time
from pathlib import Path
from byorn.cli.main import main

assert main({EVALUATE.split()} + ["--out", "several"]) == 0
while not Path("several/metrics.json").exists():  # the first process writes what all have found
    time.sleep(0.1)
model = "./gone" if os.environ["RANK"] == "1" else "model"
sys.exit(main(["scan", "--model", model, "--data", "data", "--out", "half"]))
"""


@pytest.fixture(scope="module", params=[2, pytest.param(4, marks=pytest.mark.slow)])
def processes(request):
    return request.param


@pytest.fixture(scope="module")
def place(processes, tmp_path_factory):
    """A folder with a tiny model, 20 rows to train on, in steps that they do not fill, and 9 to test on, which are
    fewer batches than four processes.
    """
    folder = tmp_path_factory.mktemp("place")
    save_tiny(folder / "model")
    write_rows(tiny_rows(ROWS), folder / "data")
    write_rows(tiny_rows(TEST_ROWS), folder / "test")
    (folder / "then_one_fails.py").write_text(THEN_ONE_FAILS)
    return folder


@pytest.fixture(scope="module")
def trained(place, processes):
    result = in_group(processes, "-m", "byorn", *TRAIN.split(), cwd=place)
    assert result.returncode == 0, result.stderr[-3000:]
    return result


@pytest.fixture(scope="module")
def half_failed(place, processes, trained):
    return in_group(processes, "then_one_fails.py", cwd=place)


def test_training_leaves_one_adapter_and_one_set_of_scores(place, processes, trained, model, processor):
    run = place / "run"
    report = json.loads((run / "training.json").read_text())
    flagged = sum(pq.read_table(run / "flags.parquet")["flagged"].to_pylist())
    assert (report["steps"], report["rows"], report["flagged"]) == (3, ROWS, flagged)
    assert report["arguments"]["world_size"] == processes
    assert report["arguments"]["ema_decay_from"] == "a memory of 1, for a run of 3 steps"
    assert (run / "adapter" / "adapter_model.safetensors").is_file()
    assert not list(run.glob("*.partial*"))
    alone = score_dataset(model, processor, to_dataset(tiny_rows(ROWS)))
    assert pq.read_table(run / "scores.parquet")["nll"].to_pylist() == pytest.approx(alone.nll.tolist(), abs=1e-5)


def test_the_report_counts_the_responses_of_all_processes(place, processes, trained):
    report = json.loads((place / "run" / "training.json").read_text())
    flagged_steps = sum(entry.get("flagged_share", 0) for entry in report["log"])
    assert report["responses"]["replaced"] == flagged_steps * processes * BATCH > 0


def test_another_number_of_processes_does_not_go_on_with_the_run(place, processes, trained, monkeypatch, capsys):
    monkeypatch.chdir(place)
    (place / "run" / "training.json").rename(place / "kept.json")  # as if it had been killed before its end
    assert main(TRAIN.split()) == 2
    (place / "kept.json").rename(place / "run" / "training.json")
    refusal = f"error: checkpoint: made with {processes * BATCH} rows an optimizer step, now {BATCH}"
    assert refusal in capsys.readouterr().err


def test_everything_is_said_once(trained):
    for line in ("reading data", f"scored {ROWS} rows", f"of {ROWS} rows: score above", "training on", "adapter in"):
        assert trained.stderr.count(line) == 1, trained.stderr
    assert trained.stdout.count("training.json") == 1


def test_evaluation_by_several_is_that_by_one(place, half_failed, monkeypatch):
    monkeypatch.chdir(place)
    assert main([*EVALUATE.split(), "--out", "one"]) == 0
    for name in ("predictions.jsonl", "metrics.json"):
        assert (place / "several" / name).read_text() == (place / "one" / name).read_text()
    assert half_failed.stdout.count("exact_match") == 1
    assert not list((place / "several").glob("*.partial*"))


def test_an_error_of_one_process_ends_the_others_with_one_line(half_failed, processes):
    assert half_failed.returncode != 0
    errors = [line for line in half_failed.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert errors[0].startswith(f"error: process 1 of {processes}: model")
    assert "byorn/" not in half_failed.stderr.replace(errors[0], "")  # no traceback through our code


def test_what_all_processes_find_is_left_to_the_first(monkeypatch):
    waited = []
    monkeypatch.setattr(ranks.time, "sleep", waited.append)
    assert (ranks.error_line(ConfigError("x")), waited) == ("error: x", [])
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert (ranks.error_line(ConfigError("x")), waited) == ("error: process 3 of 4: x", [ranks.GRACE])


def test_what_one_process_does_is_refused_to_several(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["poison", "--data", "x", "--target", "y", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "error: byorn poison is the work of one process; start it without torchrun\n"


def test_torchrun_says_how_many_there_are(tmp_path):
    done = torchrun(2, "-m", "byorn", "poison", "--data", "data", "--target", "x", "--out", "poisoned", cwd=tmp_path)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert said[0] == "error: byorn poison is the work of one process; start it without torchrun"


def join_group(place: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{place}/meet", rank=0, world_size=1)


@pytest.mark.parametrize(("code", "left"), [(0, True), (2, False), (3, True)])
def test_a_process_that_is_done_leaves_the_group_before_it_ends(code, left, monkeypatch, tmp_path):
    monkeypatch.setattr(process, "main", lambda: join_group(tmp_path) or code)
    with pytest.raises(SystemExit) as ended:
        process.run()
    assert (ended.value.code, not torch.distributed.is_initialized()) == (code, left)
    ranks.end_group()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")
def test_a_group_that_is_left_has_no_threads_that_could_outlive_python(tmp_path):
    def threads():
        return [name for path in Path("/proc/self/task").glob("*/comm") if "gloo" in (name := path.read_text())]

    join_group(tmp_path)
    trainer = SimpleNamespace(model=torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 2)))
    trainer.itself = trainer  # trainers lie in reference cycles, and their models hold the group
    del trainer
    assert threads()
    ranks.end_group()
    assert not threads()


def test_ending_a_group_that_nobody_joined_does_not_load_torch():
    code = "import sys; from byorn.runs.ranks import end_group; end_group(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
