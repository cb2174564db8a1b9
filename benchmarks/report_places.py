"""Where a report says that the trigger is in the images, given the right group of rows: no model is needed for that.

    python benchmarks/report_places.py --seeds 10 --first 700 > benchmarks/results/report-places.md
    python benchmarks/report_places.py --seeds 10 --first 714 --model recipes/real/model \\
        --plugin recipes/real/tower.py recipes/real/tasks.py > benchmarks/results/report-places-real.md

The attacks on images and the sizes of `benchmarks/report_verdicts.py`; whether the group itself is found stands there.
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from report_verdicts import ATTACKS, EMBEDDED, Case, box_found, poisoned_set

from byorn.attacks.manifest import poisoned_keys
from byorn.data.load import load_rows
from byorn.patterns.images import Pattern, shared_pattern
from byorn.patterns.place import placed
from byorn.patterns.thumbnails import Thumbnails
from byorn.plugins import load_plugins
from byorn.runs.narrate import quiet_libraries

SIZES = ((300, 0.05), (1000, 0.005))
OTHER_SIZES = ((200, 0.05),)


def patterns(case: Case, model: str) -> list[Pattern]:
    """What the images of the poisoned rows share."""
    with tempfile.TemporaryDirectory() as folder:
        path = poisoned_set(ATTACKS[case.data], case, model, Path(folder))
        keys = poisoned_keys(path.parent)
        rows = load_rows(path, notify=lambda line: None).rows
        truth = np.array([row.key in keys for row in rows])
        thumbnails, groups = Thumbnails(rows), (np.flatnonzero(truth), np.flatnonzero(~truth))
        return placed(shared_pattern(thumbnails, *groups), thumbnails, *groups)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=700)
    parser.add_argument("--model", default=EMBEDDED)
    parser.add_argument("--plugin", type=Path, nargs="+", default=[])
    given = parser.parse_args()
    quiet_libraries()
    load_plugins(given.plugin)
    seeds = range(given.first, given.first + given.seeds)
    print("# Where the trigger is, given the rows\n")
    print(f"`benchmarks/report_places.py`, pictures of {given.model}, seeds {seeds[0]} to {seeds[-1]}.")
    print("Right: the box overlaps that of the patch by half; or none is named where the pattern lies everywhere.\n")
    print("| poisoned | something is named | right | a wrong place |\n|---|---|---|---|")
    for rows, rate in SIZES if given.model == EMBEDDED else OTHER_SIZES:
        for name in (name for name, attack in ATTACKS.items() if attack.box or attack.pattern):
            count: Counter[str] = Counter()
            for seed in seeds:
                found = patterns(case := Case(data=name, rows=rows, rate=rate, seed=seed), given.model)
                right = box_found(ATTACKS[name], found)
                wrong = bool(found) and found[0].box is not None and not right
                count.update({"named": bool(found), "right": right, "wrong": wrong})
            shares = (f"{count[column]} of {len(seeds)}" for column in ("named", "right", "wrong"))
            print(f"| {case} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
