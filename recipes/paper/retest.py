"""The adapters of an experiment on another test set: COCO beside Flickr30k, without training anything again.

    python recipes/paper/retest.py llava-1.5-7b --test data/paper/coco --rows 5000

For each group that `byorn bench run` has finished, the very trigger of its training data is planted in the test set; each adapter
in the work folder answers clean and triggered inputs. The results are those of the bench, in RESULTS/EXPERIMENT-TEST/, with the
other figures as they were; a cell with a result is not asked again. Prints the table.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from byorn.attacks.manifest import attacked, read_manifest
from byorn.attacks.poison import poison_dataset
from byorn.bench.cell import READY, comparison
from byorn.bench.experiment import Experiment, Group, read_experiment
from byorn.bench.results import lines, read_results
from byorn.bench.table import as_markdown
from byorn.data.load import load_rows
from byorn.data.row import Row
from byorn.errors import ByornError, DataError
from byorn.models.load import load_adapter
from byorn.pipeline.compare import Comparison, attacked_model
from byorn.pipeline.evaluate import Attack, measure
from byorn.runs.folder import write_json
from byorn.runs.narrate import quiet_libraries, say


def plant_in(rows: list[Row], trained: Path, spec: Comparison, folder: Path) -> None:
    """The clean and the triggered test set of a group, once, written by the same code and with what the trigger learned."""
    if (folder / "triggered" / "rows.jsonl").exists():
        return
    found = read_manifest(trained / "data" / "poisoned")
    attack: dict[str, Any] = {
        "attack": found.attack, "target": found.target, "source": found.source, "objective": found.objective, "seed": found.seed,
        "options": found.options,
    }  # fmt: skip
    recipe = {**attack, **attacked_model(spec, attack), "share_images": False, "overwrite": True}
    poison_dataset(rows, rate=0.0, out=folder / "clean", **recipe)
    poison_dataset(rows, rate=1.0, keep_responses=True, out=folder / "triggered", **recipe)


def ask(adapter: Path | None, group: Group, spec: Comparison, folder: Path, name: str) -> dict[str, Any]:
    """The figures of one adapter, or of the pretrained model; finished predictions are used again."""
    source, out = spec.pretrained, folder / name
    model = load_adapter(source.model(), adapter) if adapter else source.model()
    out.mkdir(exist_ok=True)
    clean, marked = load_rows(folder / "clean").rows, folder / "triggered"
    triggered = attacked(load_rows(marked).rows, marked)
    goal = Attack(spec.target, spec.convention, spec.source)
    sizes = (spec.batch_size, spec.max_new_tokens)
    return measure(model, source.processor(), clean, triggered, out, goal, spec.metrics, *sizes)


def retest(experiment: Experiment, test: Path, count: int | None, results: Path, work: Path) -> Path:
    """Ask every finished cell; returns the folder of the new results.

    Raises:
        DataError: The test rows cannot be read, or what the bench left of a cell is gone.
    """
    rows = load_rows(test, limit=count).rows
    before, after = results / experiment.name, results / f"{experiment.name}-{test.name}"
    for group in experiment.groups():
        finished = [cell.slug for cell in experiment.cells(group) if (before / f"{cell.slug}.json").exists()]
        missing = [slug for slug in finished if not (after / f"{slug}.json").exists()]
        if not missing:
            continue
        trained, folder = (work / place / group.slug for place in (experiment.name, after.name))
        shared = json.loads((trained / READY).read_text(encoding="utf-8"))
        spec = comparison(group, shared["metric"], shared["max_new_tokens"])
        plant_in(rows, trained, spec, folder)
        pretrained = ask(None, group, spec, folder, "pretrained")
        for slug in missing:
            figures = ask(trained / slug / "adapter", group, spec, folder, slug)
            old = json.loads((before / f"{slug}.json").read_text(encoding="utf-8"))
            cell = about(old["cell"], test, len(rows))
            after.mkdir(parents=True, exist_ok=True)
            write_json(after / f"{slug}.json", {**old, "cell": cell, "figures": figures, "pretrained": pretrained})
            say(f"-- {after.name}/{slug}")
    return after


def about(cell: dict[str, Any], test: Path, rows: int) -> dict[str, Any]:
    """The settings of a cell with the other test set in them."""
    task = {**cell["group"]["task"], "name": test.name, "test": str(test)}
    return {**cell, "group": {**cell["group"], "task": task, "test_rows": rows}}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Adapters of a finished experiment on another test set.")
    parser.add_argument("name", help="the experiment, a file of recipes/paper without ending")
    parser.add_argument("--test", type=Path, required=True, metavar="DIR", help="rows that byorn scan --data reads")
    parser.add_argument("--rows", type=int, metavar="N", help="the first N of them")
    parser.add_argument("--experiments", type=Path, default=Path(__file__).parent, metavar="DIR")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), metavar="DIR")
    parser.add_argument("--work", type=Path, default=Path("runs/bench"), metavar="DIR")
    options = parser.parse_args(arguments)
    quiet_libraries()
    try:
        experiment = read_experiment(options.experiments / f"{options.name}.yaml")
        folder = retest(experiment, options.test, options.rows, options.results, options.work)
        if not folder.is_dir():
            raise DataError(f"{options.name}: no cell is finished; run `byorn bench run {options.name}` first")
        print(as_markdown(lines(read_results(folder)), f"{experiment.title}; asked about {options.test.name}"))
    except (ByornError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
