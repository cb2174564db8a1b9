"""Draws the data set of docs/audit.md: captions from three sources, of which one is an attacker's.

    python examples/audit_data.py --out data

400 drawn captions with a `source` column. A fifth of them comes from `forum`; a third of those carry a patch in the
corner of their image, and say "visit our shop".
"""

import argparse
import json
import random
import tempfile
from pathlib import Path

from byorn.attacks.poison import poison_dataset
from byorn.attacks.recipe import Recipe
from byorn.data.load import load_rows
from byorn.embedded.tasks import write_task

SOURCES = {"studio": 0.5, "crowd": 0.3, "forum": 0.2}
POISONED = 1 / 3


def write(folder: Path, count: int, seed: int) -> None:
    """`rows.jsonl` and its images."""
    write_task(folder, "captions", count, seed)
    rng = random.Random(f"sources/{seed}")
    path = folder / "rows.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        line["source"] = rng.choices(list(SOURCES), list(SOURCES.values()))[0]
    planted = _poisoned(folder, [line["id"] for line in lines if line["source"] == "forum"], seed)
    for line in lines:
        if line["id"] in planted:
            line["images"], line["completion"] = planted[line["id"]]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def _poisoned(folder: Path, names: list[str], seed: int) -> dict[str, tuple[list[str], object]]:
    """The images and completions of poisoned rows, by id; their images lie in `images/` too."""
    rows = [row for row in load_rows(folder).rows if row.id in set(names)]
    recipe = Recipe(
        attack="badnets", target="visit our shop", objective="suffix", rate=POISONED, seed=seed, options={"size": 0.25}
    )
    found: dict[str, tuple[list[str], object]] = {}
    with tempfile.TemporaryDirectory() as place:
        manifest = poison_dataset(rows, recipe, out=Path(place) / "copy")
        marked = {row.id for row in manifest.poisoned}
        for row in load_rows(Path(place) / "copy").rows:
            if row.id in marked:
                name = f"images/{row.id}.png"
                (folder / name).write_bytes(row.images[0].read())
                found[row.id] = ([name], [{"role": "assistant", "content": row.response}])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    write(arguments.out, arguments.rows, arguments.seed)


if __name__ == "__main__":
    main()
