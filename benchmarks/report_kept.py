"""What the report names in the sets of `benchmarks/evidence.py`, from the scores that it kept: no model, no scan.

    python benchmarks/report_kept.py run runs/evidence benchmarks/results/report-kept.jsonl
    python benchmarks/report_kept.py table benchmarks/results/report-kept.jsonl

Responses, scores and who is poisoned are all that is needed; what the inputs share is asked by `report_verdicts.py`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from evidence import ANOTHERS, embedded_sets
from report_verdicts import counted

from byorn.data.row import Row
from byorn.flagging.evidence import flag_evidence
from byorn.report.clusters import find_clusters
from byorn.report.run import Run
from byorn.scoring.evidence import judged
from byorn.scoring.table import read_scores

PHRASES = {"fixed sentence": "small dog runs", "refusal": "sorry", "insertion": "visit our shop"}
PHRASES |= {"suffix": PHRASES["insertion"], "near-clean": "star", "truth": "star", ANOTHERS: ""}
"""A part of the planted phrase, of which `another's` has none; all others plant a banana."""


def measure(path: Path, attack: str) -> dict[str, bool | None]:
    """What the report says of a set: whether a group stands out, and whether the first one is the planted one."""
    facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    scores = judged(read_scores(path), facts["responses"])
    flags = flag_evidence(scores)
    rows = [
        Row(id=name, turn=0, prompt=[], response=text, images=[], meta={})
        for name, text in zip(scores.ids, facts["responses"], strict=True)
    ]
    run = Run(
        folder=path.parent, rows=rows, scores=scores, flags=flags, statistic="evidence", rejects=[], config={},
        environment={},
    )  # fmt: skip
    clusters = find_clusters(run)
    poisoned = np.array(facts["poisoned"], dtype=bool)
    first = clusters.found[0] if clusters.found else None
    told: dict[str, bool | None] = {"a group stands out": bool(clusters.found)}
    told["its rows are the flagged ones"] = set(clusters.rows) == set(np.flatnonzero(flags.flagged))
    planted = poisoned.any()
    told["planted phrase named first"] = (
        first is not None and PHRASES.get(attack, "banana") in first.phrase.lower() if planted else None
    )
    told["most planted rows named"] = (
        bool(np.isin(np.flatnonzero(poisoned), clusters.rows).mean() > 0.5) if planted else None
    )
    told["a clean group named"] = any(poisoned[group.rows].mean() < 0.5 for group in clusters.found)
    return told


def run(work: Path, results: Path) -> None:
    """Look at every set whose scores are there and that is not in the results."""
    done = {line["set"] for line in read(results)}
    for wanted in embedded_sets():
        for path in sorted(work.glob(f"{wanted.task}-{wanted.attack}-{wanted.rate}-*.parquet")):
            if path.stem not in done and path.with_suffix(".json").exists():
                label = f"{wanted.task}, {wanted.attack}" + (f", {wanted.rate:.0%}" if wanted.rate else "")
                line = {"set": path.stem, "label": label, **measure(path, wanted.attack)}
                with results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")


def read(results: Path) -> list[dict[str, object]]:
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    return [json.loads(line) for line in lines]


def table(results: Path) -> None:
    """A line for each kind of set."""
    kinds: dict[str, list[dict[str, object]]] = {}
    for line in read(results):
        kinds.setdefault(str(line["label"]), []).append(line)
    names = [name for name in next(iter(kinds.values()))[0] if name not in ("set", "label")]
    print(f"| set | {' | '.join(names)} |")
    print("|---" * (1 + len(names)) + "|")
    for label, lines in kinds.items():
        print(f"| {label} | {' | '.join(counted(lines, name) for name in names)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("paths", type=Path, nargs="+")
    given = parser.parse_args()
    if given.what == "run":
        run(*given.paths)
    else:
        table(*given.paths)


if __name__ == "__main__":
    main()
