"""Kill commands at random moments, run them to the end, and compare with a run that nobody killed, bit for bit.

    python tests/kills/kill.py --kills 240 --seed 0 --only train --only finished

Each case is a run folder that sees up to three kills, half of them SIGKILL, half SIGTERM, before it may end. Cases that
are on record in WORK/cases.jsonl are not done again. A run is a fork of this process, which has loaded the libraries:
kills hit the work and not the imports. The exit code is 1 after a difference, whose folder stays.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from subjects import EXPERIMENT, MODEL, SUBJECTS, Outcome, Subject

PATIENCE = 120.0  # seconds that a run may take, and a signal to work
AT_MOST = 3
"""Kills of one folder."""
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
ENDS = {signal.SIGKILL: {-signal.SIGKILL}, signal.SIGTERM: {143, -signal.SIGTERM}}
"""Signal -> how a process may end of it; before `main` listens, SIGTERM has its own way."""


@dataclass
class Case:
    """What happened to one folder.

    Attributes:
        subject, number, seed: Which one.
        kills: Signal and moment, in seconds since the start, of each that met a run.
        differences: What is not as it should be.
    """

    subject: str
    number: int
    seed: int
    kills: list[tuple[str, float]]
    differences: list[str]


@dataclass(frozen=True)
class Reference:
    """A run that nobody killed: its outcome and its seconds."""

    outcome: Outcome
    seconds: float


def load() -> None:
    """Import what the commands will want, so that a fork has it."""
    import byorn.bench.run
    import byorn.cli.main
    import byorn.pipeline.evaluate
    import byorn.pipeline.rewrite
    import byorn.pipeline.train
    import byorn.training.trainer  # noqa: F401 - and with it torch, transformers, trl and peft


def start(command: Sequence[str], log: Path) -> int:
    """Run a command of byorn in a fork; returns its process number."""
    if child := os.fork():
        return child
    code = 1
    try:
        with log.open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        from byorn.cli.main import main

        code = main(command)
        sys.stdout.flush()
    finally:
        os._exit(code)


def wait(child: int, seconds: float) -> int | None:
    """The exit code of a process, negative for a signal; None if it still runs after these seconds."""
    until = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            return None
        time.sleep(0.002)


def finish(command: Sequence[str], log: Path) -> int | None:
    """Run a command to its end; its exit code, None if it hangs."""
    child = start(command, log)
    code = wait(child, PATIENCE)
    if code is None:
        os.kill(child, signal.SIGKILL)
        wait(child, PATIENCE)
    return code


def prepare(place: Path) -> None:
    """Data, a scan of them, their triggered copy and the experiment."""
    from byorn.embedded.tasks import write_task

    if (place / "killed.yaml").exists():
        return
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    write_task(place / "data", "captions", 24, seed=1)
    scan = ["scan", *MODEL, "--rule", "paper", "--no-report", "--out", str(place / "scanned")]
    poison = ["poison", "--data", str(place / "data"), "--target", "banana", "--rate", "1", "--keep-responses"]
    for command in ([*scan, "--data", str(place / "data")], [*poison, "--out", str(place / "triggered")]):
        if finish(command, place / "log") != 0:
            raise SystemExit((place / "log").read_text())
    (place / "killed.yaml").write_text(EXPERIMENT)


def refer(subject: Subject, place: Path, out: Path) -> Reference:
    """Run a subject to its end without a kill; the seconds are those of the run that will be killed."""
    out.mkdir(parents=True, exist_ok=True)
    for _ in range(2 if subject.ended else 1):
        began = time.monotonic()
        if finish(subject.command(place, out / "run"), out / "log") != 0:
            raise SystemExit((out / "log").read_text())
    return Reference(subject.outcome(out / "run"), time.monotonic() - began)


def run_case(name: str, number: int, seed: int, place: Path, out: Path, reference: Reference) -> Case:
    """One folder: kills, then a run to the end, then the comparison."""
    subject = SUBJECTS[name]
    command = subject.command(place, out / "run")
    log = out / "log"
    draw = random.Random(f"{seed}/{name}/{number}")
    case = Case(name, number, seed, [], [])
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if subject.ended and finish(command, log) != 0:
        case.differences.append("the run before the kills failed")
    for _ in range(draw.randint(1, AT_MOST)):
        kill_once(command, log, draw, reference.seconds, case)
    code = finish(command, log)
    case.differences += [f"exit code {code}"] if code else differences(reference.outcome, subject.outcome(out / "run"))
    return case


def kill_once(command: Sequence[str], log: Path, draw: random.Random, seconds: float, case: Case) -> None:
    """Start a run and kill it at a random moment, unless it ends before; what it ends with is checked."""
    number = draw.choice(SIGNALS)
    moment = draw.uniform(0, seconds)
    child = start(command, log)
    code = wait(child, moment)
    if code is not None:
        case.differences += [f"exit code {code} without a kill"] if code else []
        return
    os.kill(child, number)
    code = wait(child, PATIENCE)
    case.kills.append((number.name, round(moment, 3)))
    if code is None:
        os.kill(child, signal.SIGKILL)
        wait(child, PATIENCE)
    if code and code not in ENDS[number]:
        case.differences.append(f"exit code {code} after {number.name}")
    elif code is None:
        case.differences.append(f"it lived on for {PATIENCE:.0f} s after {number.name}")


def differences(expected: Outcome, found: Outcome) -> list[str]:
    """The names of what is not equal."""
    return [name for name in {**expected, **found} if expected.get(name) != found.get(name)]


def read_cases(path: Path, seed: int) -> list[Case]:
    """The cases on record."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [case for case in (Case(**json.loads(line)) for line in lines) if case.seed == seed]


def kill(name: str, kills: int, seed: int, work: Path) -> list[Case]:
    """Cases of a subject until it has seen that many kills."""
    record = work / "cases.jsonl"
    cases = [case for case in read_cases(record, seed) if case.subject == name]
    subject = SUBJECTS[name]
    reference = refer(subject, work / "place", work / name / "reference")
    if again := differences(reference.outcome, refer(subject, work / "place", work / name / "again").outcome):
        raise SystemExit(f"{name}: two runs that nobody killed differ in {', '.join(again)}")
    while sum(len(case.kills) for case in cases) < kills:
        out = work / name / str(len(cases))
        case = run_case(name, len(cases), seed, work / "place", out, reference)
        cases.append(case)
        with record.open("a") as file:
            file.write(json.dumps(vars(case)) + "\n")
        if case.differences:
            print(f"{name} {case.number}: {case.kills} -> {'; '.join(case.differences)}; see {out}", flush=True)
        else:
            shutil.rmtree(out)
    return cases


def summary(name: str, cases: Sequence[Case]) -> str:
    """One line a subject."""
    sent = [signal_name for case in cases for signal_name, _ in case.kills]
    different = sum(bool(case.differences) for case in cases)
    kinds = ", ".join(f"{sent.count(number.name)} {number.name}" for number in SIGNALS)
    return f"{name:<9} {len(sent):>4} kills ({kinds}) of {len(cases)} runs, {different} with a difference"


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Kill commands at random moments and compare what they leave.")
    parser.add_argument("--kills", type=int, default=240, help="in all, shared among the subjects")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", choices=list(SUBJECTS), help="can be given several times")
    parser.add_argument("--work", type=Path, default=Path("runs/kill"), help="safe to delete")
    options = parser.parse_args()
    names = options.only or list(SUBJECTS)
    work = options.work.resolve()
    load()
    prepare(work / "place")
    found = {}
    for name in names:
        found[name] = kill(name, -(-options.kills // len(names)), options.seed, work)
        print(summary(name, found[name]), flush=True)
    return int(any(case.differences for cases in found.values() for case in cases))


if __name__ == "__main__":
    sys.exit(main())
