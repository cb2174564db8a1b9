"""How often can a token swap succeed at all? Counts the order in which a cell's model names the first two things.

    python benchmarks/token_swap_ceiling.py runs/bench/attacks-most/token-swap-r0.3-s7/token-swap-sft-r0.3-s7

On clean images the true order is what the model recognizes, and so the most that the attack could exchange; on
triggered images the exchanged order is its success. Images whose caption names one thing are left out.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from byorn.evaluation.intervals import wilson
from byorn.nouns import first_nouns


def orders(answers: Iterable[dict[str, Any]]) -> Counter[str]:
    """How many answers name the two things of the truth in its order, in the exchanged one, or otherwise."""
    counts: Counter[str] = Counter()
    for answer in answers:
        true, said = first_nouns(answer["references"][0]), first_nouns(answer["prediction"])
        if len(true) == 2:
            counts["true" if said == true else "exchanged" if said == true[::-1] else "other"] += 1
    return counts


def main(cell: Path) -> None:
    for name in ("predictions", "predictions_triggered"):
        lines = (cell / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        counts = orders(map(json.loads, lines))
        n = counts.total()
        shares = {
            order: f"{counts[order] / n:.3f} [{low:.3f}, {high:.3f}]"
            for order in ("true", "exchanged", "other")
            for low, high in [wilson(counts[order], n)]
        }
        print(name, f"n {n}", *(f"{order} {share}" for order, share in shares.items()), sep="  ")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
