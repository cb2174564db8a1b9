"""Thresholds that are found by a gap, beside the default rule: Otsu's, and a mixture of two normal distributions.

    python benchmarks/two_classes.py runs/evidence --seeds 44 45 46

What they divide is the sum of robust z-values of adapted likelihood and adapted contrast, of the scores that
`benchmarks/evidence.py` keeps; no model, no scan. Otsu's threshold has the largest variance between two classes; the
mixture flags who belongs to the upper one more likely than not.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import numpy as np
from evidence import embedded_sets, kept_at

from byorn.flagging.evidence import flag_evidence
from byorn.scoring.evidence import TOGETHER, judged
from byorn.scoring.table import Scores, read_scores

CLIP = 6.0


def summed(scores: Scores) -> np.ndarray:
    """float64 array [n]; 0 where a row has no score."""
    parts = []
    for name in TOGETHER:
        values = np.where(np.isfinite(scores.values[name]), scores.values[name], np.nan)
        away = values - np.nanmedian(values)
        parts.append(np.clip(away / (1.4826 * np.nanmedian(np.abs(away)) + 1e-9), -CLIP, CLIP))
    return np.asarray(np.nan_to_num(np.sum(parts, axis=0)))


def otsu(values: np.ndarray) -> np.ndarray:
    """Who is above the threshold: bool array [n]."""
    ordered = np.sort(values)
    count = np.arange(1, len(values))
    below = np.cumsum(ordered)[:-1] / count
    above = (ordered.sum() - np.cumsum(ordered)[:-1]) / (len(values) - count)
    best = int(np.argmax(count * (len(values) - count) * (above - below) ** 2))
    return np.asarray(values > ordered[best])


def mixture(values: np.ndarray) -> np.ndarray:
    """Who belongs to the upper of two normal distributions: bool array [n]."""
    from sklearn.mixture import GaussianMixture

    fitted = GaussianMixture(2, random_state=0, n_init=3).fit(values[:, None])
    upper = int(np.argmax(fitted.means_[:, 0]))
    return np.asarray((fitted.predict(values[:, None]) == upper) & (values > np.median(values)))


RULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"Otsu": otsu, "two normals": mixture}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[44, 45, 46])
    given = parser.parse_args()
    found: dict[str, list[tuple[float | None, float]]] = {name: [] for name in (*RULES, "evidence")}
    for seed in given.seeds:
        for path in (kept_at(wanted, seed, given.work) for wanted in embedded_sets()):
            facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            truth, scores = np.array(facts["poisoned"], dtype=bool), read_scores(path)
            flags = {name: rule(summed(scores)) for name, rule in RULES.items()}
            flags["evidence"] = flag_evidence(judged(scores, facts["responses"])).flagged
            for name, flagged in flags.items():
                recall = float(flagged[truth].mean()) if truth.any() else None
                found[name].append((recall, float(flagged[~truth].mean())))
    head = (
        "threshold",
        "poisoned sets",
        "recall",
        "found whole",
        "and no clean row",
        "clean rows flagged",
        "in clean sets",
    )
    print(f"| {' | '.join(head)} |")
    print("|---" * 7 + "|")
    for name, lines in found.items():
        poisoned = [(recall, false) for recall, false in lines if recall is not None]
        whole = [false for recall, false in poisoned if recall == 1]
        clean = [false for recall, false in lines if recall is None]
        shares = (mean(recall for recall, _ in poisoned), mean(false for _, false in poisoned), mean(clean))
        print(
            f"| {name} | {len(poisoned)} | {shares[0]:.1%} | {len(whole)} | {sum(not false for false in whole)} "
            f"| {shares[1]:.1%} | {shares[2]:.1%} |"
        )


if __name__ == "__main__":
    main()
