"""A backdoor whose responses have nothing in common: each poisoned row has the response of a clean one.

    python benchmarks/anothers.py run WORK --seeds 0 1 2
    python benchmarks/anothers.py table WORK

The embedded model, 250 captions of which a fifth is poisoned, a patch in the corner, and the settings of
`experiments/main.yaml` with the default rule. The model learns to describe another picture where the patch is. No text
stands for that, so there is no attack success rate: what is measured is CIDEr on 200 test images, as they are and with
the patch, against their true captions.
"""

import argparse
import json
from pathlib import Path

from evidence import ATTACKS, with_anothers
from verify_seeds import DEVICE, TRAINING, do

from byorn.attacks.manifest import poisoned_keys
from byorn.data.files import write_rows
from byorn.data.load import load_rows
from byorn.embedded.tasks import write_task
from byorn.flagging.table import read_flags

ROWS, TESTS, RATE = 250, 200, 0.2
PATCH = (
    "--attack",
    "badnets",
    "--target",
    "banana",
    *(f"--set={name}={value}" for name, value in ATTACKS["sentence"]["options"].items()),
)


def run(seed: int, work: Path) -> None:
    """Data, scan, and each training with its evaluation; done parts are used again."""
    folder = work / str(seed)
    data, test = _train_set(seed, folder), _test_set(seed, folder)
    scan, given = folder / "scan", ["--model", "embedded", "--data", data, "--image-root", folder, *DEVICE]
    if not (scan / "flags.parquet").is_file():
        do("scan", *given, "--out", scan, "--show", "0")
    for defense in ("sft", "byorn"):
        out = folder / defense
        if not (out / "adapter").is_dir():
            do("train", *given, "--scan", scan, "--out", out, "--defense", defense, "--seed", seed, *TRAINING)
        if not (out / "evaluate/metrics.json").is_file():
            measure = [
                "evaluate",
                "--model",
                "embedded",
                "--adapter",
                out / "adapter",
                "--data",
                folder / "test",
                *DEVICE,
            ]
            do(*measure, "--triggered", test, "--target", "banana", "--metrics", "cider", "--out", out / "evaluate")


def _train_set(seed: int, folder: Path) -> Path:
    if not (folder / "data").is_dir():
        write_task(folder / "clean", "captions", ROWS, seed)
        do("poison", "--data", folder / "clean", "--out", folder / "planted", *PATCH, "--rate", RATE, "--seed", seed)
        rows = load_rows(folder / "planted", notify=lambda line: None).rows
        keys = poisoned_keys(folder / "planted")
        write_rows(with_anothers(rows, [row.key in keys for row in rows], seed), folder / "data", image_root=folder)
    return folder / "data"


def _test_set(seed: int, folder: Path) -> Path:
    if not (folder / "triggered").is_dir():
        write_task(folder / "test", "captions", TESTS, seed + 1000)
        do("poison", "--data", folder / "test", "--out", folder / "triggered", *PATCH, "--rate", 1, "--keep-responses")
    return folder / "triggered"


def table(work: Path) -> None:
    """A line a training."""
    print("| seed | defense | flagged | of the poison | CIDEr, clean | triggered |")
    print("|---|---|---|---|---|---|")
    for folder in sorted(work.iterdir()):
        flags = read_flags(folder / "scan/flags.parquet")
        keys = poisoned_keys(folder / "planted")
        caught = sum(flags.flagged[place] for place, key in enumerate(flags.keys) if key in keys)
        for defense in ("sft", "byorn"):
            found = json.loads((folder / defense / "evaluate/metrics.json").read_text())
            values = [found[name]["cider"]["value"] for name in ("clean", "triggered")]
            cells = [folder.name, defense, str(int(flags.flagged.sum())), f"{caught} of {len(keys)}"]
            print(f"| {' | '.join([*cells, *(f'{value:.0f}' for value in values)])} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    if given.what == "table":
        table(given.work)
        return
    for seed in given.seeds:
        run(seed, given.work)


if __name__ == "__main__":
    main()
