"""What commands say to type next can be typed: it means the data, the model and the rule that they had."""

import shlex
from pathlib import Path

from parsing import values_of

from byorn.cli.next_step import tell_next, train_step
from byorn.data.spec import DataSpec
from byorn.flagging.settings import FlagSettings
from byorn.models.spec import ModelSpec
from byorn.settings import build


def test_the_line_after_a_scan_trains_on_what_was_scanned(tmp_path, capsys):
    folder = tmp_path / "it's; $(odd)"
    data = DataSpec(source=str(folder / "rows"), name="mm,pairs", limit=7, image_root=folder, strict=True)
    model = ModelSpec(name="a model", trust_remote_code=True, quantize="4bit")
    rule = FlagSettings(rule="paper", percentile=0.8)

    tell_next(["verify", folder], train_step(folder, model, data, rule), first="read it, then ")

    said = capsys.readouterr().err
    assert said.count("\n") == 1
    line, _, train = said.strip().partition(", or ")
    assert line == f"next: read it, then byorn verify {shlex.quote(str(folder))}"
    program, command, *options = shlex.split(train)
    values = values_of(command, *options)
    assert (program, command, values["scan"]) == ("byorn", "train", str(folder))
    assert [build(kind, values) for kind in (DataSpec, ModelSpec, FlagSettings)] == [data, model, rule]


def test_what_is_left_at_its_default_is_not_repeated(capsys):
    tell_next(train_step(Path("runs/scan"), ModelSpec(name="embedded"), DataSpec(source="rows"), FlagSettings()))
    assert capsys.readouterr().err == "next: byorn train --model embedded --data rows --scan runs/scan\n"
