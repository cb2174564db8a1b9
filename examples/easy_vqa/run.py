"""All of byorn on easy-VQA, data that nobody here drew: `make easy-vqa`.

Rows from the package's files, BadNets with the answer "banana" in 10 % of them, scan, three fine-tunes, accuracy and ASR. The run folder is
`runs/easy_vqa`; its summary is also written to `benchmarks/results/easy_vqa.json`.
"""

import argparse
import json
from pathlib import Path

from byorn.bench.demo import PARTS, Told, compare
from byorn.bench.experiment import AttackEntry, Group
from byorn.runs.folder import start_anew, write_config, write_json
from byorn.runs.narrate import quiet_libraries, say

RESULT = Path(__file__).parents[2] / "benchmarks" / "results" / "easy_vqa.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded", help="folder or hub name of a vision-language model")
    parser.add_argument("--rows", type=int, default=4000, help="training questions")
    parser.add_argument("--test-rows", type=int, default=1000, help="test questions")
    parser.add_argument("--rate", type=float, default=0.1, help="share of poisoned rows")
    parser.add_argument("--percentile", type=float, default=0.6, help="share of rows that is trusted")
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--learning-rate", type=float, default=5e-3, help="a big model wants about 1e-4")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/easy_vqa"))
    args = parser.parse_args()
    quiet_libraries()
    settings = json.loads(json.dumps(vars(args), default=str))
    start_anew(args.out, "easy-vqa", PARTS)
    write_config(args.out, {"command": "easy-vqa", **settings})
    summary = compare(comparison(args), args.out)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    write_json(RESULT, {"command": "make easy-vqa", "options": settings, **summary})
    say(f"\n  {args.out / 'summary.json'}\n  {RESULT}")


def comparison(args: argparse.Namespace) -> Told:
    """One-word answers are poisoned by a bare word: a sentence among them would be found by its length alone."""
    arguments = {
        "num_train_epochs": args.epochs,
        "learning_rate": args.learning_rate,
        "per_device_train_batch_size": 32,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 20,
        "logging_steps": 25,
    }
    attack = AttackEntry(attack="badnets", target="banana", objective="word", convention="substring")
    group = Group(
        task="easy-vqa", rows=args.rows, test_rows=args.test_rows, model=args.model, label="badnets", attack=attack, rate=args.rate,
        seed=args.seed, batch_size=100,
    )  # fmt: skip
    return Told(group=group, percentile=args.percentile, arguments=arguments)


if __name__ == "__main__":
    main()
