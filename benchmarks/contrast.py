"""What the paper's score and the contrast see of attacks on the embedded model: the AUC of each, without any training.

    python benchmarks/contrast.py [--seeds 21 22 23 24 25]

BadNets with a patch of a quarter of the side, 10 % poison, 300 rows a set. Prints the table of
`benchmarks/results/contrast.md`: mean AUC (smallest to largest) over the seeds. No other table shows these seeds.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from byorn.attacks.manifest import poisoned_keys
from byorn.attacks.poison import poison_dataset
from byorn.attacks.recipe import Recipe
from byorn.data.dataset import to_dataset
from byorn.data.load import load_rows
from byorn.embedded.tasks import write_task
from byorn.models.load import load_spec, load_spec_processor
from byorn.models.spec import ModelSpec
from byorn.runs.narrate import quiet_libraries
from byorn.scoring.contrast import Swapped, partners, with_contrast
from byorn.scoring.score import score_dataset

ROWS = 300
STATISTICS = ("nll", "nll_max", "nll_window", "contrast")
ATTACKS: dict[str, tuple[str, dict[str, str]]] = {
    "captions, sentence": ("captions", {"objective": "sentence", "target": "banana"}),
    "captions, word": ("captions", {"objective": "word", "target": "banana"}),
    "captions, refusal": ("captions", {"objective": "refusal", "target": "I'm sorry"}),
    "captions, insertion": ("captions", {"objective": "insertion", "target": "banana"}),
    "captions, suffix": ("captions", {"objective": "suffix", "target": "visit our shop"}),
    "questions, word": ("questions", {"objective": "word", "target": "banana"}),
    "two images, sentence": ("differences", {"objective": "sentence", "target": "banana"}),
}


def aucs(task: str, fields: dict[str, Any], seed: int, folder: Path, model: Any, processor: Any) -> list[float]:
    """The AUC of each statistic on one poisoned set."""
    from sklearn.metrics import roc_auc_score

    clean = load_rows(write_task(folder / "clean", task, ROWS, seed)).rows
    recipe = Recipe(attack="badnets", rate=0.1, seed=seed, options={"size": 0.25}, **fields)
    poison_dataset(clean, recipe, out=folder / "poisoned")
    rows = load_rows(folder / "poisoned").rows
    dataset = to_dataset(rows)
    pairs = [(row, other) for row, other in enumerate(partners(rows)) if other is not None]
    own, swapped = (score_dataset(model, processor, part, batch_size=50) for part in (dataset, Swapped(dataset, pairs)))
    scores = with_contrast(own, swapped, pairs)
    truth = [row.key in poisoned_keys(folder / "poisoned") for row in rows]
    return [float(roc_auc_score(truth, np.nan_to_num(scores.values[name]))) for name in STATISTICS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[21, 22, 23, 24, 25])
    seeds = parser.parse_args().seeds
    quiet_libraries()
    spec = ModelSpec(name="embedded")
    model, processor = load_spec(spec), load_spec_processor(spec)
    print(f"| {ROWS} rows, seeds {', '.join(map(str, seeds))} | {' | '.join(STATISTICS)} |")
    print("|---" * (1 + len(STATISTICS)) + "|")
    for label, (task, fields) in ATTACKS.items():
        found = []
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                found.append(aucs(task, fields, seed, Path(folder), model, processor))
        columns = zip(*found, strict=True)
        cells = [f"{mean(values):.3f} ({min(values):.3f} to {max(values):.3f})" for values in columns]
        print(f"| {label} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
