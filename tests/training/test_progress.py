"""What a person sees while training runs: short lines, a bar on a terminal only, one JSON object a line for
machines.
"""

import io
import json
import re
import sys

import pytest
from runner import build
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from byorn.data.dataset import to_dataset
from byorn.runs.narrate import say, use_format
from byorn.runs.progress import progress
from byorn.testing import tiny_rows
from byorn.training.progress import log_line


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Tracker(TrainerCallback):
    def __init__(self):
        self.names = set()

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.names |= set(logs)


@pytest.fixture
def machines():
    use_format("json")
    yield
    use_format("text")


def run(folder, **changes):
    trainer = build(folder, max_steps=4, disable_tqdm=False, **changes)
    trainer.train()
    return trainer


def test_a_log_file_gets_one_short_line_a_logging_step_and_no_bar(tmp_path, capsys):
    run(tmp_path)
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if "step " in line]
    assert len(lines) == 4
    assert re.fullmatch(
        r"  step 1/4  loss \d\.\d{4}  flagged (0|100)%(  response \d+ tokens)?  \d+\.\d s left", lines[0]
    )
    assert any("response" in line for line in lines)
    assert "left" not in lines[-1]
    assert "{'loss'" not in out + err
    assert "it/s" not in err


def test_a_terminal_gets_a_bar_of_training_and_one_of_evaluation(tmp_path, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    run(tmp_path, eval_dataset=to_dataset(tiny_rows(4)), eval_strategy="steps", eval_steps=2)
    shown = terminal.getvalue()
    assert "training:" in shown
    assert "evaluation:" in shown
    assert re.search(r"  step 2/4  evaluation loss \d\.\d{4}  ", shown)


def test_a_line_starts_on_a_line_of_its_own_while_a_bar_is_shown(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress(10, "scoring") as bar:
        bar.update(3)
        say("a line")
    assert re.search(r"(^|[\r\n])a line\n", terminal.getvalue())


def test_machines_get_one_object_a_line(tmp_path, capsys, machines):
    run(tmp_path)
    records = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    steps = [record for record in records if "step" in record]
    assert [record["step"] for record in steps] == [1, 2, 3, 4]
    assert {"loss", "flagged_share", "steps", "seconds_left", "message"} <= steps[0].keys()


def test_trackers_still_get_everything_and_the_trainer_s_own_printing_is_gone(tmp_path):
    tracker = Tracker()
    trainer = build(tmp_path, max_steps=2)
    trainer.add_callback(tracker)
    trainer.train()
    assert {"loss", "grad_norm", "learning_rate", "num_tokens", "flagged_share", "train_runtime"} <= tracker.names
    kinds = {type(callback) for callback in trainer.callback_handler.callbacks}
    assert not kinds & {PrinterCallback, ProgressCallback}


def test_an_evaluation_outside_training_has_a_line_without_steps_or_time():
    assert log_line(0, 0, {"eval_loss": 2.0}, 0) == "  evaluation loss 2.0000"
    assert log_line(4, 4, {"eval_clean_loss": 2.0}, 0) == "  step 4/4  evaluation_clean loss 2.0000"
