"""What the rule of a scan and the groups of its report see of planted rows, one canary each."""

import json
from collections.abc import Iterator, Sequence

import numpy as np

from byorn.attacks.known import KnownAttack
from byorn.evaluation.canaries import sight
from byorn.pipeline.lab import Lab, Planted
from byorn.report.clusters import Cluster, find_clusters
from byorn.report.run import Run
from byorn.report.simulation import Named, Simulated
from byorn.runs.atomic import atomic_path


def seen(lab: Lab, planted: Planted, run: Run) -> Simulated:
    """What was found of the planted rows; `canaries.jsonl` beside them lists each."""
    mask = np.zeros(len(run.rows), dtype=bool)
    mask[[lab.places[row.key] for row in planted.poisoned]] = True
    attack = planted.attack
    with atomic_path(planted.folder / "canaries.jsonl") as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in _canaries(attack, run, mask))
    return Simulated(
        name=attack.name,
        target=attack.recipe.target,
        folder=attack.folder,
        lost=len(planted.manifest.poisoned) - int(mask.sum()),
        threshold=run.flags.threshold,
        sight=sight(run.scores.values[run.statistic], run.flags.flagged, mask),
        named=_named(run, mask),
    )


def _named(run: Run, planted: np.ndarray) -> Named:
    """Which groups a report would find."""
    groups = find_clusters(run).found
    ours = [group for group in groups if planted[group.rows].mean() > 0.5]
    others = [group for group in groups if planted[group.rows].mean() <= 0.5]
    largest = max(ours, key=len, default=None)
    joined = max(others, key=lambda group: planted[group.rows].sum(), default=None)
    here = planted[joined.rows] if joined else np.zeros(0, dtype=bool)
    return Named(
        planted=int(planted[_rows_of(ours)].sum()),
        others=len(_rows_of(others)),
        phrase=largest.phrase if largest else "",
        joined=int(here.sum()),
        own=int((~here).sum()),
        own_phrase=joined.phrase if joined else "",
    )


def _rows_of(groups: Sequence[Cluster]) -> np.ndarray:
    """int array: the rows of groups, each once."""
    return np.unique(np.concatenate([np.zeros(0, dtype=int), *(group.rows for group in groups)]))


def _canaries(attack: KnownAttack, run: Run, planted: np.ndarray) -> Iterator[dict[str, object]]:
    values = run.scores.values[run.statistic]
    for number, place in enumerate(map(int, np.flatnonzero(planted))):
        row = run.rows[place]
        score = float(values[place]) if np.isfinite(values[place]) else None
        flagged = bool(run.flags.flagged[place])
        yield {
            "canary": f"{attack.folder}-{number:05}",
            "id": row.id,
            "turn": row.turn,
            "score": score,
            "flagged": flagged,
        }
