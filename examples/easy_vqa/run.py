"""The comparison of `byorn demo` on easy-VQA, data that nobody here drew: `make easy-vqa`.

Rows from the package's files, BadNets with the answer "banana" in 10 % of them, scan, three fine-tunes, accuracy and
ASR. The run folder is `runs/easy_vqa`; its summary is also written to `benchmarks/results/easy_vqa.json`.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from byorn.bench.comparison import PARTS, Comparison, compare
from byorn.bench.spec import AttackEntry, Group
from byorn.runs.folder import start_anew, write_config, write_json
from byorn.runs.narrate import quiet_libraries, say

RESULT = Path(__file__).parents[2] / "benchmarks" / "results" / "easy_vqa.json"


def main(arguments: Sequence[str] | None = None, result: Path = RESULT) -> None:
    args = parser().parse_args(arguments)
    quiet_libraries()
    settings = json.loads(json.dumps(vars(args), default=str))
    start_anew(args.out, "easy-vqa", PARTS)
    write_config(args.out, {"command": "easy-vqa", **settings})
    summary = compare(comparison(args), args.out)
    result.parent.mkdir(parents=True, exist_ok=True)
    write_json(result, {"command": "make easy-vqa", "options": settings, **summary})
    say(f"\n  {args.out / 'summary.json'}\n  {result}")


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", default="embedded", help="folder or hub name of a vision-language model")
    options.add_argument("--rows", type=int, default=4000, help="training questions")
    options.add_argument("--test-rows", type=int, default=1000, help="test questions")
    options.add_argument("--rate", type=float, default=0.1, help="share of poisoned rows")
    options.add_argument("--percentile", type=float, default=0.6, help="share of rows that is trusted")
    options.add_argument("--epochs", type=float, default=3)
    options.add_argument("--learning-rate", type=float, default=5e-3, help="a big model wants about 1e-4")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, default=Path("runs/easy_vqa"))
    return options


def comparison(args: argparse.Namespace) -> Comparison:
    """One-word answers are poisoned by a bare word: a sentence among them would be found by its length alone."""
    attack = AttackEntry(attack="badnets", target="banana", objective="word", convention="substring")
    group = Group(
        task="easy-vqa",
        rows=args.rows,
        test_rows=args.test_rows,
        model=args.model,
        label="badnets",
        attack=attack,
        rate=args.rate,
        seed=args.seed,
        batch_size=100,
    )
    arguments = {
        "num_train_epochs": args.epochs,
        "learning_rate": args.learning_rate,
        "per_device_train_batch_size": 32,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 20,
        "logging_steps": 25,
    }
    return Comparison(group=group, percentile=args.percentile, arguments=arguments)


if __name__ == "__main__":
    main()
