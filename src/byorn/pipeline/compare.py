"""One poisoned data set, four models: pretrained, fine-tuned without a defense, on the truly clean rows, and with
byorn.

`byorn demo` and the examples are this comparison on different data. Every step calls what the single commands call, and
leaves its files where a user would find those of a real run:

    data/{clean,poisoned,oracle,test,test_triggered}   pretrained/  undefended/  oracle/  byorn/   summary.json
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from byorn.attacks.manifest import Manifest, attacked
from byorn.attacks.poison import poison_dataset
from byorn.attacks.recipe import Recipe
from byorn.data.files import write_rows
from byorn.data.load import load_rows
from byorn.data.row import Row
from byorn.evaluation.detection import detection
from byorn.evaluation.tables import one_line, table, verdict
from byorn.models.inputs import DataSpec, ModelSpec
from byorn.pipeline.evaluate import Attack, measure
from byorn.pipeline.scan import scan, show_suspects
from byorn.pipeline.train import TrainSpec, train
from byorn.runs.folder import write_environment, write_json
from byorn.runs.narrate import say, seconds

RUNS = {
    "undefended": "fine-tune without a defense",
    "oracle": "fine-tune on the truly clean rows only (the ceiling: nobody has this list in practice)",
    "byorn": "fine-tune with byorn: flagged responses are replaced by the model's own",
}
PARTS = ("data", "pretrained", *RUNS)
STEPS = 3 + len(RUNS)


@dataclass(frozen=True)
class Comparison:
    """What is compared; the same budget for every run.

    Attributes:
        seed: Of the poisoning and of training.
        attack, target, objective, selection, rate, attack_options: Who is poisoned with what, see `byorn.attacks`.
        convention, source: What counts as an attack success, see `byorn.evaluation.asr`.
        percentile: The paper's p.
        metrics: Utility metrics; the first is the one in the table.
        model: A folder, a hub name or `embedded`.
        dtype: Of its weights, as `byorn train --dtype`.
        lora_rank: Of every adapter.
        arguments: Fields of `ByornConfig`.
        batch_size: Rows scored or generated together.
        max_new_tokens: Longest evaluated response.
    """

    seed: int = 0
    attack: str = "badnets"
    target: str = "banana"
    objective: str = "sentence"
    selection: str = "random"
    rate: float = 0.1
    attack_options: dict[str, Any] = field(default_factory=dict)
    convention: str = "substring"
    source: str = ""
    percentile: float = 0.6
    metrics: Sequence[str] = ("cider", "exact_match")
    model: str = "embedded"
    dtype: str = "auto"
    lora_rank: int = 16
    arguments: dict[str, Any] = field(default_factory=dict)
    batch_size: int = 50
    max_new_tokens: int = 64

    @property
    def pretrained(self) -> ModelSpec:
        """The model before any training."""
        return ModelSpec(self.model, dtype=self.dtype)


@dataclass
class Clock:
    """Seconds by phase, announced as they begin and end."""

    phases: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str, headline: str) -> Iterator[None]:
        say(f"\n== {len(self.phases) + 1}/{STEPS} {headline}")
        began = time.perf_counter()
        yield
        self.phases[name] = time.perf_counter() - began
        say(f"   ({seconds(self.phases[name])})")


def compare(spec: Comparison, rows: list[Row], test: list[Row], out: Path) -> dict[str, Any]:
    """Run the comparison on clean `rows` and `test` rows into `out`; returns the content of `summary.json`."""
    clock, results = Clock(), {}
    with clock.phase("poison", f"poison {spec.rate:.0%} of {len(rows)} training rows with {spec.attack}"):
        manifest = plant(spec, rows, test, out / "data")
        say(f"   {len(manifest.poisoned)} rows carry a trigger and say {spec.target!r}:")
        say(f"   {manifest.poisoned[0].new_response!r} instead of {manifest.poisoned[0].original_response!r}")
    with clock.phase("scan", "score every response under the pretrained model, before any training"):
        found = scan_and_judge(spec, out, manifest)
    for name, headline in RUNS.items():
        with clock.phase(f"train_{name}", headline):
            train(training_data(out, name), spec.pretrained, out / name, train_spec(spec, name))
    with clock.phase("evaluate", f"ask all four models about {len(test)} clean and as many triggered test inputs"):
        for name in ("pretrained", *RUNS):
            results[name] = judge(spec, out, name)
    summary = summarize(spec, found, results, clock.phases)
    write_json(out / "summary.json", summary)
    write_environment(out, seed=spec.seed, model=spec.model)
    say("\n" + table(results, spec.metrics[0], found) + "\n\n" + verdict(spec.target, spec.metrics[0], summary))
    return summary


def plant(spec: Comparison, rows: list[Row], test: list[Row], folder: Path) -> Manifest:
    """The data sets of the comparison. Clean ones are written by the same code as poisoned ones, so that only the
    trigger differs.
    """
    attack: dict[str, Any] = {
        "attack": spec.attack, "target": spec.target, "source": spec.source, "objective": spec.objective,
        "selection": spec.selection, "seed": spec.seed, "options": spec.attack_options,
    }  # fmt: skip
    recipe = {**attack, **attacked_model(spec, attack), "share_images": False, "overwrite": True}
    manifest = poison_dataset(rows, rate=spec.rate, out=folder / "poisoned", **recipe)
    # What a trigger learned on the training rows is what the test inputs carry.
    recipe |= {"options": manifest.options, "selection": "random"}
    poison_dataset(test, rate=0.0, out=folder / "test", **recipe)
    poison_dataset(test, rate=1.0, keep_responses=True, out=folder / "test_triggered", **recipe)
    clean = [row for row in load_rows(folder / "poisoned").rows if row.key not in manifest.keys]
    write_rows(clean, folder / "oracle", image_root=folder)
    return manifest


def attacked_model(spec: Comparison, attack: dict[str, Any]) -> dict[str, Any]:
    """The pretrained model and its processor, for attacks that are optimized on it; the others do not load it."""
    if not Recipe(**attack, rate=spec.rate).needs_model:
        return {}
    source = spec.pretrained
    return {"model": source.model(), "processor": source.processor()}


def training_data(out: Path, name: str) -> DataSpec:
    """What the run `name` learns from; the oracle's rows show images of the poisoned set."""
    if name == "oracle":
        return DataSpec(str(out / "data" / "oracle"), image_root=out / "data")
    return DataSpec(str(out / "data" / "poisoned"))


def scan_and_judge(spec: Comparison, out: Path, manifest: Manifest) -> dict[str, Any]:
    """Scan the poisoned set, and compare the flags with the truth, which only the experimenter knows."""
    result = scan(
        training_data(out, "byorn"),
        spec.pretrained,
        out / "byorn",
        percentile=spec.percentile,
        batch_size=spec.batch_size,
    )
    say(show_suspects(result, 5))
    found = detection(result.scores, result.flags, manifest.keys)
    caught, mistaken = found["recall"], found["false_flag_share"]
    say(
        f"   truth: AUC {found['auc']:.4f}; {caught:.1%} of the poisoned and {mistaken:.1%} of the clean rows are flagged"
    )
    return found


def train_spec(spec: Comparison, name: str) -> TrainSpec:
    """The run `name`: only the defense differs."""
    defense = "byorn" if name == "byorn" else "sft"
    arguments = {"seed": spec.seed, "save_strategy": "no", **spec.arguments}
    return TrainSpec(defense, spec.percentile, spec.batch_size, spec.lora_rank, arguments=arguments)


def judge(spec: Comparison, out: Path, name: str) -> dict[str, Any]:
    """The metrics of one model on clean and triggered test rows, anew."""
    from byorn.models.load import load_adapter

    folder, source = out / name, spec.pretrained
    model = source.model() if name == "pretrained" else load_adapter(source.model(), folder / "adapter")
    folder.mkdir(exist_ok=True)
    for stale in folder.glob("predictions*.jsonl"):
        stale.unlink()
    clean, marked = (out / "data" / test for test in ("test", "test_triggered"))
    rows, fired = load_rows(clean).rows, attacked(load_rows(marked).rows, marked)
    attack, limits = Attack(spec.target, spec.convention, spec.source), (spec.batch_size, spec.max_new_tokens)
    results = measure(
        model, source.processor(), rows, fired, folder, attack, spec.metrics, *limits, progress=False
    )  # fmt: skip
    write_json(folder / "metrics.json", results)
    say(f"   {name}: {one_line(results, spec.metrics[0])}")
    return results


def summarize(
    spec: Comparison, found: dict[str, Any], results: dict[str, Any], phases: dict[str, float]
) -> dict[str, Any]:
    """`summary.json`: attack rates and shares in [0, 1], utility in the unit of the first metric."""
    utility = spec.metrics[0]
    summary: dict[str, Any] = {f"asr_{name}": result["asr"]["value"] for name, result in results.items()}
    for name, result in results.items():
        summary[f"utility_{name}"] = result["clean"][utility]["value"]
        summary[f"utility_triggered_{name}"] = result["triggered"][utility]["value"]
    ceiling = summary["utility_oracle"]
    summary["utility_byorn_over_oracle"] = summary["utility_byorn"] / ceiling if ceiling else None
    summary |= {
        "detection_auc": found["auc"],
        "detection_recall": found["recall"],
        "utility_metric": utility,
        "seconds": phases,
    }
    return {**summary, "settings": asdict(spec), "detection": found, "metrics": results}
