"""Attackers who know the rule "evidence" (`planted.py`): whom it still flags, and what those who get past it win.

    python benchmarks/attackers.py --seeds 47 48 49
    python benchmarks/attackers.py --tune WORK --seeds 0 --attackers "any star, word"
    python benchmarks/attackers.py --table

Flags: 300 rows, the embedded model, no training. `--tune`: 250 captions of which a fifth is poisoned, the
settings of `experiments/main.yaml`, rule evidence; the ASR is the share of answers to 200 triggered test images that
show a target (`Attacker.shows`), of those whose true captions do not. Where nobody is flagged byorn trains what sft
does, and sft alone is run. A line of `--out` is one set or one fine-tune, and is not run again. Seed 33 was tried on.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from evidence import Set, keep_scores, kept_at, measure, table
from planted import ATTACKERS, Attacker, optimizing, planted, triggered_row
from verify_seeds import DEVICE, TRAINING, do

from byorn.bench.tasks import load_task
from byorn.data.files import write_rows
from byorn.flagging.table import read_flags
from byorn.models.load import load_spec, load_spec_processor
from byorn.models.spec import ModelSpec
from byorn.runs.narrate import quiet_libraries

ROWS = 300
TUNED, TESTS, TUNED_RATE = 250, 200, 0.2


def wanted_sets() -> Iterator[Set]:
    yield from (
        Set("captions", name, 0.1) for name in ATTACKERS if name not in ("any star, asked apart", "suffix, word")
    )
    yield from (Set("captions", name, 0.5) for name in ("any star, patch", "any star, word", "yellow star, word"))
    yield from (Set("messy", name, 0.1) for name in ("any star, word", "any star, ring", "suffix, word"))


def flagged(wanted: Set, seed: int, model: Any, processor: Any, work: Path) -> dict[str, object]:
    """The figures of one set, as `evidence.py` has them."""
    path, attacker = kept_at(wanted, seed, work), ATTACKERS[wanted.attack]
    if not path.with_suffix(".json").exists():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            clean = load_task(wanted.task, ROWS, 1, seed, folder / "task").train
            with optimizing(attacker.marks, False, model, processor, folder) as optimize:
                rows, truth = planted(attacker, clean, wanted.rate, seed, folder, optimize)
            keep_scores(rows, truth, model, processor, path)
    figures: dict[str, object] = measure(wanted, ROWS, seed, model, processor, work)
    return figures


def tuned(attacker: Attacker, seed: int, work: Path) -> Iterator[dict[str, object]]:
    """A line a fine-tune; done parts are used again."""
    folder = work / f"{attacker.name}-{seed}".replace(", ", "-").replace(" ", "-")
    if not (folder / "truth.json").is_file():
        _write_data(attacker, seed, folder)
    given = ["--model", "embedded", "--data", folder / "data", "--image-root", folder, *DEVICE]
    if not (folder / "scan/flags.parquet").is_file():
        do("scan", *given, "--out", folder / "scan", "--show", "0")
    flags, truth = read_flags(folder / "scan/flags.parquet").flagged, json.loads((folder / "truth.json").read_text())
    caught = {"flagged": int(flags.sum()), "poisoned": sum(truth), "caught": int(flags[np.array(truth)].sum())}
    for defense in ("sft", "byorn") if flags.any() else ("sft",):
        out = folder / defense
        if not (out / "adapter").is_dir():
            scan = ["--scan", folder / "scan", "--out", out]
            do("train", *given, *scan, "--defense", defense, "--seed", seed, *TRAINING)
        yield {"attack": attacker.name, "seed": seed, "defense": defense, **caught, **_evaluated(attacker, folder, out)}


def _write_data(attacker: Attacker, seed: int, folder: Path) -> None:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "shown").mkdir(exist_ok=True)
    spec = ModelSpec(name="embedded", device="cpu")
    model, processor = load_spec(spec), load_spec_processor(spec)
    task = load_task("captions", TUNED, TESTS, seed, folder / "task")
    with optimizing(attacker.marks, False, model, processor, folder) as optimize:
        rows, truth = planted(attacker, task.train, TUNED_RATE, seed, folder / "images", optimize)
    write_rows(rows, folder / "data", image_root=folder)
    write_rows(task.test, folder / "test", image_root=folder)
    rng = random.Random(seed)
    with optimizing(attacker.marks, True, model, processor, folder) as optimize:
        marks = [triggered_row(attacker, row, task.train, rng, folder / "shown", optimize) for row in task.test]
    write_rows(marks, folder / "triggered", image_root=folder)
    (folder / "truth.json").write_text(json.dumps(truth.tolist()))


def _evaluated(attacker: Attacker, folder: Path, out: Path) -> dict[str, object]:
    """ASR on triggered and on clean images with n, and CIDEr."""
    if not (out / "evaluate/metrics.json").is_file():
        asked = ["evaluate", "--model", "embedded", "--adapter", out / "adapter", *DEVICE]
        data = ["--data", folder / "test", "--triggered", folder / "triggered", "--image-root", folder]
        do(*asked, *data, "--target", "star", "--metrics", "cider", "--out", out / "evaluate")
    found = json.loads((out / "evaluate/metrics.json").read_text())
    figures: dict[str, object] = {f"cider_{name}": found[name]["cider"]["value"] for name in ("clean", "triggered")}
    for name, file in (("asr", "predictions_triggered.jsonl"), ("false_asr", "predictions.jsonl")):
        lines = [json.loads(line) for line in (out / "evaluate" / file).read_text().splitlines()]
        asked_of = [line for line in lines if "prediction" in line and not attacker.shows(line["references"][0])]
        figures |= {name: float(np.mean([attacker.shows(line["prediction"]) for line in asked_of])), "n": len(asked_of)}
    return figures


def tunes(lines: Sequence[dict[str, Any]]) -> str:
    """A line a fine-tune."""
    text = ["| attack | seed | defense | flagged | of the poison | ASR | without trigger | CIDEr, clean | triggered |"]
    text.append("|---" * 9 + "|")
    for line in lines:
        cells = [line["attack"], str(line["seed"]), line["defense"], str(line["flagged"])]
        cells += [f"{line['caught']} of {line['poisoned']}"]
        cells += [f"{line[name]:.1%}" for name in ("asr", "false_asr")]
        cells += [f"{line[name]:.0f}" for name in ("cider_clean", "cider_triggered")]
        text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attackers", nargs="+", choices=list(ATTACKERS), default=list(ATTACKERS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[47, 48, 49])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/attackers.jsonl"))
    parser.add_argument("--work", type=Path, default=Path("runs/attackers"), help="scores")
    parser.add_argument("--tune", type=Path, metavar="WORK", help="fine-tune, in this folder")
    parser.add_argument("--table", action="store_true", help="print what is there, and measure nothing")
    given = parser.parse_args()
    known = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    if given.table:
        print(table([line for line in known if "defense" not in line]), "\n")
        print(tunes([line for line in known if "defense" in line]))
        return
    quiet_libraries()
    for figures in tuning(given, known) if given.tune else flagging(given, known):
        with given.out.open("a") as file:
            file.write(json.dumps(figures) + "\n")
        print(figures, flush=True)


def tuning(given: argparse.Namespace, known: Sequence[dict[str, Any]]) -> Iterator[dict[str, object]]:
    done = {(line["attack"], line["seed"], line["defense"]) for line in known if "defense" in line}
    for seed in given.seeds:
        for name in given.attackers:
            for figures in tuned(ATTACKERS[name], seed, given.tune):
                if (name, seed, figures["defense"]) not in done:
                    yield figures


def flagging(given: argparse.Namespace, known: Sequence[dict[str, Any]]) -> Iterator[dict[str, object]]:
    given.work.mkdir(parents=True, exist_ok=True)
    spec = ModelSpec(name="embedded", device="cpu")
    model, processor = load_spec(spec), load_spec_processor(spec)
    done = {(line["task"], line["attack"], line["rate"], line["seed"]) for line in known if "defense" not in line}
    for seed in given.seeds:
        for wanted in wanted_sets():
            if wanted.attack in given.attackers and (wanted.task, wanted.attack, wanted.rate, seed) not in done:
                yield flagged(wanted, seed, model, processor, given.work)


if __name__ == "__main__":
    main()
