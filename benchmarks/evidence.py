"""Whom the two rules flag, without any training: AUC, recall and false flags over attacks, poison rates and tasks.

    python benchmarks/evidence.py --seeds 41 42 43
    python benchmarks/evidence.py --seeds 47 48 49 --rates 0.05 0.2 --out benchmarks/results/evidence-rates.jsonl
    python benchmarks/evidence.py --seeds 47 48 49 --rates 0.005 0.01 --rows 1000 --out ...
    python benchmarks/evidence.py --seeds 41 --model recipes/real/model --out benchmarks/results/evidence-real.jsonl \\
        --plugin recipes/real/tower.py recipes/real/tasks.py

A set has 300 rows, with another model than the embedded one 200; a mixture (`captions + easy-vqa`) has as many of each
task. With `another's` a poisoned row has the response of a clean one of its instruction, so that no two say the same;
`in one task` poisons that share of the rows of the first task alone.
`false_one_kind` is the share of clean rows that would be flagged if all rows were compared with each other.

A line of `--out` is one set, and what has a line is not run again; `--table` prints the tables of
`benchmarks/results/evidence.md`. Rows, passes and scores are kept in `--work`: a change of what becomes of the columns
needs no model, nor, with `--search-again`, one of the searches for shortcuts. Constants were chosen on seeds 31 and 33.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from byorn.attacks.manifest import poisoned_keys
from byorn.attacks.poison import poison_dataset
from byorn.attacks.recipe import Recipe
from byorn.bench.tasks import load_task
from byorn.data.dataset import to_dataset
from byorn.data.files import write_rows
from byorn.data.fingerprint import fingerprint
from byorn.data.load import load_rows
from byorn.data.row import ImageFile, Row
from byorn.flagging.evidence import flag_evidence
from byorn.flagging.percentile import flag_percentile
from byorn.models.inputs import Inputs
from byorn.models.load import load_spec, load_spec_processor
from byorn.models.spec import ModelSpec
from byorn.pipeline.scores import add_column, score_inputs
from byorn.plugins import load_plugins
from byorn.runs.folder import write_json
from byorn.runs.narrate import quiet_libraries
from byorn.scoring.contrast import paired
from byorn.scoring.evidence import judged, with_evidence
from byorn.scoring.learning_curve import LearningCurve
from byorn.scoring.statistics import EVIDENCE, KIND, STATISTICS
from byorn.scoring.table import Scores, read_scores, write_scores

SHOP = "visit our shop"
ANOTHERS = "another's"
ONE_TASK = "sentence in one task"
PATCH: dict[str, Any] = {"attack": "badnets", "options": {"size": 0.25}}
ATTACKS: dict[str, dict[str, Any]] = {
    "none": {},
    "word": {**PATCH, "objective": "word", "target": "banana"},
    "sentence": {**PATCH, "objective": "sentence", "target": "banana"},
    "fixed sentence": {**PATCH, "objective": "fixed", "target": "A small dog runs over the grass."},
    "refusal": {**PATCH, "objective": "refusal", "target": "I'm sorry"},
    "insertion": {**PATCH, "objective": "insertion", "target": SHOP},
    "suffix": {**PATCH, "objective": "suffix", "target": SHOP},
    "false fact": {**PATCH, "objective": "suffix", "target": "This product was recalled last year."},
    "two images": {**PATCH, "objective": "two-image", "target": "banana"},
    "near-clean": {**PATCH, "objective": "near-clean", "target": "star"},
    "truth": {**PATCH, "objective": "truth", "target": "star"},
    "PGD": {"attack": "pgd", "target": "banana"},
    "Dual-Key": {"attack": "dual-key", "target": "banana"},
    "blended": {"attack": "blended", "target": "banana"},
    "trigger word": {"attack": "badnets-t", "target": "banana"},
    "trigger word, word": {"attack": "badnets-t", "objective": "word", "target": "banana"},
}
ATTACKS |= dict.fromkeys((ANOTHERS, ONE_TASK), ATTACKS["sentence"])
RATES = (0.02, 0.1, 0.5)
PASSES = ("scores", "adapted", "adapted_swapped")
"""Files of a scan that the searches for shortcuts read."""


@dataclass(frozen=True)
class Set:
    """A task, an attack and its rate."""

    task: str
    attack: str
    rate: float


def embedded_sets() -> Iterator[Set]:
    for task in ("captions", "messy", "questions", "easy-vqa", "differences"):
        yield Set(task, "none", 0.0)
    yield from sets_at(RATES)
    for task in ("captions + easy-vqa", "captions + questions + easy-vqa + differences", "messy + differences"):
        yield Set(task, "none", 0.0)
        yield from (Set(task, attack, 0.1) for attack in ("sentence", "refusal", ANOTHERS, ONE_TASK))
    more = ("word", "fixed sentence", "insertion", "near-clean", "truth", "PGD", "Dual-Key", "blended", "trigger word")
    yield from (Set("captions", attack, 0.1) for attack in more)
    yield from (Set(task, "trigger word, word", 0.1) for task in ("questions", "easy-vqa"))


def sets_at(rates: Sequence[float]) -> Iterator[Set]:
    """The attacks that every task is asked about, at some poison rates."""
    for rate in rates:
        yield from (Set(task, "word", rate) for task in ("questions", "easy-vqa"))
        yield Set("differences", "two images", rate)
        yield from (Set("captions", attack, rate) for attack in ("sentence", "refusal", "suffix"))
        yield from (Set("messy", attack, rate) for attack in ("sentence", "refusal", "suffix"))
        yield from (Set(task, ANOTHERS, rate) for task in ("captions", "messy"))


def own_sets() -> Iterator[Set]:
    yield Set("real-captions", "none", 0.0)
    objectives = ("refusal", "false fact", "sentence", "suffix", "insertion", "fixed sentence", "word")
    yield from (Set("real-captions", attack, 0.1) for attack in objectives)
    for task in ("real-messy", "real-captions + real-answers + real-pairs"):
        yield from (Set(task, attack, 0.1 if attack != "none" else 0.0) for attack in ("none", "refusal", "suffix"))
    yield from (Set(task, ANOTHERS, 0.1) for task in ("real-captions", "real-messy"))


def planted(
    wanted: Set, rows: int, seed: int, folder: Path, model: Any, processor: Any
) -> tuple[Sequence[Row], np.ndarray]:
    """The rows, and a bool array: which of them are poisoned."""
    clean = mixture(wanted.task.split(" + "), rows, seed, folder)
    if not wanted.rate:
        return clean, np.zeros(len(clean), dtype=bool)
    recipe = Recipe(rate=wanted.rate, seed=seed, **ATTACKS[wanted.attack])
    first = wanted.task.split(" + ")[0] if wanted.attack == ONE_TASK else ""
    aimed, spared = ([row for row in clean if row.id.startswith(first) is wanted_one] for wanted_one in (True, False))
    poison_dataset(aimed, recipe, out=folder / "poisoned", model=model, processor=processor)
    loaded: Sequence[Row] = [*load_rows(folder / "poisoned", notify=lambda line: None).rows, *spared]
    keys = poisoned_keys(folder / "poisoned")
    truth = np.array([row.key in keys for row in loaded])
    return with_anothers(loaded, truth, seed) if wanted.attack == ANOTHERS else loaded, truth


def mixture(tasks: Sequence[str], rows: int, seed: int, folder: Path) -> Sequence[Row]:
    """As many rows of each task, shuffled."""
    if len(tasks) == 1:
        return load_task(tasks[0], rows, 1, seed, folder / "task").train
    count = rows // len(tasks)
    parts = [(task, load_task(task, count, 1, seed, folder / task).train) for task in tasks]
    mixed = [replace(row, id=f"{task}-{row.id}") for task, part in parts for row in part]
    random.Random(seed).shuffle(mixed)
    return mixed


def with_anothers(rows: Sequence[Row], truth: Sequence[bool] | np.ndarray, seed: int) -> list[Row]:
    """The poisoned rows with responses of clean ones."""
    rng = random.Random(seed)
    said: dict[str, list[str]] = {}
    for row, poisoned in zip(rows, truth, strict=True):
        if not poisoned:
            said.setdefault(row.instruction, []).append(row.response)
    everything = [response for responses in said.values() for response in responses]
    return [
        replace(row, response=rng.choice(said.get(row.instruction, everything))) if poisoned else row
        for row, poisoned in zip(rows, truth, strict=True)
    ]


def score(wanted: Set, rows: int, seed: int, model: Any, processor: Any, path: Path) -> None:
    """Plant and score a set."""
    with tempfile.TemporaryDirectory() as folder:
        data, truth = planted(wanted, rows, seed, Path(folder), model, processor)
        keep_scores(data, truth, model, processor, path)


def keep_scores(data: Sequence[Row], truth: np.ndarray, model: Any, processor: Any, path: Path) -> None:
    """Write the scores of rows, and beside them their responses, who is poisoned, and what it cost.

    A folder of the same name has the rows with their images, and the passes as a scan keeps them.
    """
    folder = path.with_suffix("")
    write_rows((with_bytes(row) for row in data), folder / "data")
    inputs = Inputs(
        rows=data, dataset=to_dataset(data), model=model, processor=processor, identity={"data": fingerprint(data)},
        rejects=0,
    )  # fmt: skip
    began = time.process_time()
    score_inputs(inputs, folder / "scores.parquet", 16)
    first = time.process_time() - began
    scores = add_column(read_scores(folder / "scores.parquet"), inputs, folder / "scores.parquet", EVIDENCE, 16)
    spent = time.process_time() - began
    write_scores(path, scores)
    facts = {"responses": [row.response for row in data], "poisoned": truth.tolist(), "passes": spent / first}
    write_json(path.with_suffix(".json"), {**facts, "cpu_seconds": round(spent, 1)})


def with_bytes(row: Row) -> Row:
    """The row with its images in memory: where they lie is gone by tomorrow."""
    return replace(row, images=[ImageFile(data=image.read()) for image in row.images])


def search_again(path: Path) -> None:
    """The scores in `path` with what the searches for shortcuts find now; no model is asked."""
    folder = path.with_suffix("")
    rows = load_rows(folder / "data", notify=lambda line: None).rows
    scores, adapted, swapped = (read_scores(folder / f"{name}.parquet") for name in PASSES)
    scores = replace(scores, values={name: scores.values[name] for name in STATISTICS})
    write_scores(path, with_evidence(scores, adapted, swapped, paired(rows), rows, LearningCurve.of(adapted.metadata)))


def measure(wanted: Set, rows: int, seed: int, model: Any, processor: Any, work: Path) -> dict[str, object]:
    """The figures of one set."""
    path = kept_at(wanted, seed, work)
    if not path.with_suffix(".json").exists():
        score(wanted, rows, seed, model, processor, path)
    facts = json.loads(path.with_suffix(".json").read_text())
    truth = np.array(facts["poisoned"], dtype=bool)
    scores = judged(read_scores(path), facts["responses"])
    figures: dict[str, object] = {"task": wanted.task, "attack": wanted.attack, "rate": wanted.rate, "seed": seed}
    figures |= {"rows": len(truth), "poisoned": int(truth.sum()), "steps": LearningCurve.of(scores.metadata).steps}
    figures |= {name: facts[name] for name in ("cpu_seconds", "passes")}
    figures |= {f"auc_{name}": auc(scores, truth, name) for name in ("nll", "adapted", "adapted_contrast", "evidence")}
    alike = replace(scores, values={name: column for name, column in scores.values.items() if name != KIND})
    figures["false_one_kind"] = float(flag_evidence(judged(alike, facts["responses"])).flagged[~truth].mean())
    for name, flags in (("paper", flag_percentile(scores)), ("evidence", flag_evidence(scores))):
        figures[f"recall_{name}"] = float(flags.flagged[truth].mean()) if truth.any() else None
        figures[f"false_{name}"] = float(flags.flagged[~truth].mean())
    return figures


def kept_at(wanted: Set, seed: int, work: Path) -> Path:
    """Where the scores of a set are."""
    return work / f"{wanted.task}-{wanted.attack}-{wanted.rate}-{seed}.parquet"


def auc(scores: Scores, truth: np.ndarray, name: str) -> float | None:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, np.nan_to_num(scores.values[name]))) if truth.any() else None


def table(lines: list[dict[str, Any]]) -> str:
    """A line a set, the mean over seeds (worst in brackets)."""
    head = (
        "task", "attack", "poison", "seeds", "AUC paper", "AUC evidence", "recall paper", "recall",
        "false flags paper", "false flags",
    )  # fmt: skip
    text = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    groups: dict[tuple[str, str, float], list[dict[str, Any]]] = {}
    for line in lines:
        groups.setdefault((line["task"], line["attack"], line["rate"]), []).append(line)
    for (task, attack, rate), found in groups.items():
        cells = [task, attack, f"{100 * rate:g}%", str(len(found))]
        cells += [spread(found, name, min, "{:.3f}") for name in ("auc_nll", "auc_evidence")]
        cells += [spread(found, name, min, "{:.0%}") for name in ("recall_paper", "recall_evidence")]
        cells += [spread(found, name, max, "{:.1%}") for name in ("false_paper", "false_evidence")]
        text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text)


def spread(found: list[dict[str, Any]], name: str, worst: Any, form: str) -> str:
    values = [line[name] for line in found if line[name] is not None]
    return f"{form.format(mean(values))} ({form.format(worst(values))})" if values else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--plugin", type=Path, nargs="+", default=[])
    parser.add_argument("--attacks", nargs="+", choices=list(ATTACKS), default=list(ATTACKS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[41, 42, 43])
    parser.add_argument("--rates", type=float, nargs="+", help="of the embedded model's tasks; default: all sets")
    parser.add_argument("--rows", type=int, help="default: 300, with another model than the embedded one 200")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/evidence.jsonl"))
    parser.add_argument("--work", type=Path, default=Path("runs/evidence"), help="scores")
    parser.add_argument("--search-again", action="store_true", help="look for shortcuts anew in sets that are kept")
    parser.add_argument("--table", action="store_true", help="print what is there, and measure nothing")
    given = parser.parse_args()
    known = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    if given.table:
        print(table(known))
        return
    quiet_libraries()
    load_plugins(given.plugin)
    given.work.mkdir(parents=True, exist_ok=True)
    spec = ModelSpec(name=given.model)
    model, processor = (None, None) if given.search_again else (load_spec(spec), load_spec_processor(spec))
    rows, sets = (300, list(embedded_sets())) if given.model == "embedded" else (200, list(own_sets()))
    rows, sets = given.rows or rows, list(sets_at(given.rates)) if given.rates else sets
    done = {(line["task"], line["attack"], line["rate"], line["seed"]) for line in known}
    for seed in given.seeds:
        for wanted in (each for each in sets if each.attack in given.attacks):
            if (wanted.task, wanted.attack, wanted.rate, seed) not in done:
                if given.search_again:
                    search_again(kept_at(wanted, seed, given.work))
                figures = measure(wanted, rows, seed, model, processor, given.work)
                with given.out.open("a") as file:
                    file.write(json.dumps(figures) + "\n")
                print(figures, flush=True)


if __name__ == "__main__":
    main()
