"""What a frozen vision tower costs: CPU seconds of one thread, run again in every pass, or its features kept, in turn.

    OMP_NUM_THREADS=1 python benchmarks/features.py --rows 128
    OMP_NUM_THREADS=1 python benchmarks/features.py --model recipes/real/model --plugin recipes/real/tower.py \\
        --rows 32 --batch 8 --epochs 1 --no-evidence
    OMP_NUM_THREADS=1 python benchmarks/features.py --model qwen --rows 16 --batch 8 --epochs 1 --no-evidence \\
        --arms backward forward kept

Arms: `kept` has a `feature_cache`; `stored` a `feature_store` that an earlier run has filled, and no memory; `forward`
has neither; in `backward` training runs a frozen tower backward, too, as transformers does with activation
checkpointing.
Phases: a first pass of scores, a second one, the evidence (adaptation and two more passes), and training with a fifth
of the rows flagged, sampling included. `qwen` is Qwen2.5-VL with random weights, an eighth of the 3B's width and a
quarter of its depth in tower and language model alike, at 448 x 448 pixels. `tower` is the time of forward passes
through the tower; what is spent on its backward pass is in none of these columns but in the sum.
"""

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from evidence import Set, planted

from byorn import ByornConfig, ByornTrainer
from byorn.data.dataset import to_dataset
from byorn.data.row import Row
from byorn.models.load import load_model, load_processor, load_spec, load_spec_processor
from byorn.models.lora import default_lora
from byorn.models.spec import ModelSpec
from byorn.plugins import load_plugins
from byorn.runs.batches import WHOLE
from byorn.runs.narrate import quiet_libraries
from byorn.scoring.score import evidence_together, score_dataset
from byorn.testing import build_family
from byorn.training.frozen import FrozenTower

SIDE = 448
TRAINING: dict[str, Any] = {
    "learning_rate": 2e-3,
    "max_length": None,
    "use_cpu": True,
    "bf16": False,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "logging_steps": 1000,
}
ARMS = ("backward", "forward", "kept", "stored")


@dataclass
class Tower:
    """Seconds inside the tower, and how many times it ran."""

    seconds: float = 0.0
    calls: int = 0
    began: list[float] = field(default_factory=list)

    def watch(self, model: Any) -> None:
        """Count what the tower of a model takes."""
        tower = model.get_encoder("image")
        tower.register_forward_pre_hook(lambda *_: self.began.append(time.process_time()))
        tower.register_forward_hook(lambda *_: self._ended())

    def _ended(self) -> None:
        self.seconds += time.process_time() - self.began.pop()
        self.calls += 1


def measure(
    arm: str, spec: ModelSpec, rows: list[Row], poisoned: np.ndarray, given: argparse.Namespace
) -> dict[str, Any]:
    """Seconds by phase, those inside the tower among them, and the scores."""
    spec = replace(spec, feature_cache=given.cache if arm == "kept" else 0.0)
    dataset = to_dataset(rows)
    if arm == "stored":
        spec = replace(spec, feature_store=given.store)
        fill(spec, dataset, given.batch)
    tower = Tower()
    model, processor = load_spec(spec), load_spec_processor(spec)
    tower.watch(model)
    seconds: dict[str, float] = {}
    inside: dict[str, float] = {}

    @contextmanager
    def phase(name: str) -> Iterator[None]:
        began, before = time.process_time(), tower.seconds
        yield
        seconds[name] = time.process_time() - began
        inside[name] = tower.seconds - before

    for name in ("first pass", "second pass"):
        with phase(name):
            scores = score_dataset(model, processor, dataset, batch_size=given.batch)
    if not given.no_evidence:
        with phase("evidence"):
            evidence_together(scores, model, processor, dataset, rows, WHOLE, batch_size=given.batch)
    with tempfile.TemporaryDirectory() as folder:
        further = {"num_train_epochs": given.epochs, "per_device_train_batch_size": given.batch, "seed": 0}
        trainer = ByornTrainer(
            model, ByornConfig(folder, **{**TRAINING, **further}), train_dataset=to_dataset(rows, poisoned.tolist()),
            processing_class=processor, peft_config=default_lora(model),
        )  # fmt: skip
        if arm == "backward":
            trainer.remove_callback(FrozenTower)
        with phase("train"):
            trainer.train()
    return {"seconds": seconds, "tower": inside, "calls": tower.calls, "nll": scores.nll.tolist()}


def fill(spec: ModelSpec, dataset: Any, batch: int) -> None:
    """A run before: features are written when its model goes."""
    model = load_spec(spec)
    score_dataset(model, load_spec_processor(spec), dataset, batch_size=batch)
    del model
    gc.collect()


def small_qwen(folder: Path) -> str:
    """A folder with Qwen2.5-VL in the proportions of the 3B, with random weights."""
    model, processor = build_family("qwen2_5_vl")
    config = model.config
    tower, text = config.vision_config, config.text_config
    tower.update({
        "depth": 8, "hidden_size": 160, "intermediate_size": 428, "num_heads": 2, "out_hidden_size": 256,
        "window_size": 112, "fullatt_block_indexes": [1, 3, 5, 7],
    })  # fmt: skip
    text.update({
        "hidden_size": 256, "intermediate_size": 1376, "num_hidden_layers": 9, "num_attention_heads": 2,
        "num_key_value_heads": 1, "layer_types": ["full_attention"] * 9,
    })  # fmt: skip
    text.rope_parameters = {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6}
    torch.manual_seed(0)
    type(model)(config).save_pretrained(folder)
    processor.image_processor.size = {"shortest_edge": SIDE**2, "longest_edge": SIDE**2}
    processor.save_pretrained(folder)
    return str(folder)


def run(given: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """The arms in turn."""
    name = small_qwen(folder / "qwen") if given.model == "qwen" else given.model
    spec = ModelSpec(name=name, device="cpu", dtype="float32")
    drawn = (load_model("embedded", device="cpu"), load_processor("embedded"))
    rows, poisoned = planted(Set("captions", "sentence", 0.2), given.rows, given.seed, folder, *drawn)
    found = []
    for turn in range(given.turns):
        for arm in given.arms:
            line = measure(arm, spec, rows, poisoned, given)
            line |= {"model": given.model, "rows": len(rows), "arm": arm, "turn": turn}
            found.append(line)
            print({key: value for key, value in line.items() if key != "nll"}, flush=True)
    return found


def report(lines: list[dict[str, Any]]) -> str:
    """A line a phase and arm: seconds, their ratio to the first arm's in each turn, and the tower's share."""
    arms: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        arms.setdefault(line["arm"], []).append(line)
    first = next(iter(arms.values()))
    text = ["| phase | arm | s | over the first arm, by turn | tower |", "|---" * 5 + "|"]
    for phase in [*first[0]["seconds"], "all"]:
        for arm, found in arms.items():
            seconds = [_sum(line["seconds"], phase) for line in found]
            before = [_sum(line["seconds"], phase) for line in first]
            ratios = ", ".join(f"{y / x:.3f}" for x, y in zip(before, seconds, strict=True))
            share = sum(_sum(line["tower"], phase) for line in found) / sum(seconds)
            text.append(f"| {phase} | {arm} | {np.mean(seconds):.1f} | {ratios} | {share:.1%} |")
    scores = np.array([found[0]["nll"] for found in arms.values()])
    text.append(f"\nlargest difference of a score: {np.ptp(scores, axis=0).max():.1e} nats")
    return "\n".join(text)


def _sum(seconds: dict[str, float], phase: str) -> float:
    return sum(seconds.values()) if phase == "all" else seconds[phase]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded", help="as everywhere, or qwen")
    parser.add_argument("--plugin", type=Path, nargs="*", default=[])
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=["forward", "kept"])
    parser.add_argument("--cache", type=float, default=2.0, help="gigabytes")
    parser.add_argument("--seed", type=int, default=51)
    parser.add_argument("--no-evidence", action="store_true")
    parser.add_argument("--out", type=Path, help="where the lines go, as JSON")
    given = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(1)
    load_plugins(given.plugin)
    with tempfile.TemporaryDirectory() as folder:
        given.store = Path(folder) / "features"
        lines = run(given, Path(folder))
    if given.out:
        given.out.write_text(json.dumps(lines))
    print(report(lines))


if __name__ == "__main__":
    main()
