"""Can the losses of the first epoch, which cost nothing, stand in for the scan? Each row is seen before it is learned.

    OMP_NUM_THREADS=1 python benchmarks/first_epoch.py --seeds 52 53 54
    python benchmarks/first_epoch.py --table

AUC of three scores, higher = less plausible, on data sets of `benchmarks/evidence.py` (250 rows, a fifth poisoned):

    pretrained    the paper's score
    adapted       of the rule "evidence": by a model that a few steps on the other half have adapted
    first epoch   mean negative log-likelihood of a row right before the step that learns it, less the median of the
                  rows within two steps, since all of them fall; SFTTrainer, the settings of `experiments/main.yaml`

and of the last one over the rows of the first and of the second half of that epoch. A line of `--out` is one set.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from evidence import Set, auc, planted, spread
from sklearn.metrics import roc_auc_score
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

from byorn.data.dataset import to_dataset
from byorn.data.row import Row
from byorn.models.load import load_spec, load_spec_processor
from byorn.models.lora import default_lora
from byorn.models.spec import ModelSpec
from byorn.models.template import end_ids
from byorn.runs.batches import WHOLE
from byorn.runs.narrate import quiet_libraries
from byorn.scoring.likelihood import build_collator, response_tokens, scoring
from byorn.scoring.score import evidence_together, score_dataset

ROWS, BATCH, RATE = 250, 16, 0.2
SPEC = ModelSpec(name="embedded", device="cpu")
SETS = (
    *(("captions", attack) for attack in ("sentence", "refusal", "suffix", "insertion", "near-clean", "PGD")),
    *(("messy", attack) for attack in ("sentence", "refusal")),
    *(("questions", "word"), ("easy-vqa", "word"), ("differences", "two images")),
)
TRAINING: dict[str, Any] = {
    "num_train_epochs": 8, "learning_rate": 5e-3, "per_device_train_batch_size": BATCH, "lr_scheduler_type": "cosine",
    "warmup_steps": 20, "max_length": None, "use_cpu": True, "bf16": False, "save_strategy": "no", "report_to": "none",
    "disable_tqdm": True, "logging_steps": 1000, "train_sampling_strategy": "sequential",
}  # fmt: skip
NAMES = ("auc_pretrained", "auc_adapted", "auc_first_epoch", "auc_early", "auc_late")


class FirstEpoch(TrainerCallback):
    """Scores the rows of each step right before it, and stops after one epoch.

    Attributes:
        nll: Of the rows, in their order.
    """

    def __init__(self, dataset: Any, processor: Any, model: Any) -> None:
        self.nll: list[float] = []
        self._dataset = dataset
        self._collate = build_collator(processor)
        self._ends = end_ids(model, processor)

    def on_step_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        first = BATCH * state.global_step
        samples = [self._dataset[row] for row in range(first, min(first + BATCH, len(self._dataset)))]
        with scoring(model, adapters=True):
            found = response_tokens(model, self._collate, samples, self._ends)
        self.nll.extend(-float(row.log_probs.mean()) for row in found)
        control.should_training_stop = len(self.nll) == len(self._dataset)


def first_epoch(rows: Sequence[Row], seed: int, folder: str) -> np.ndarray:
    """float array [rows]: what each row costs before it is learned, less what its neighbors in time do."""
    model, processor = load_spec(SPEC), load_spec_processor(SPEC)
    dataset = to_dataset(rows)
    seen = FirstEpoch(dataset, processor, model)
    lora = default_lora(model)
    lora.target_modules = "all-linear"
    trainer = SFTTrainer(
        model, SFTConfig(folder, seed=seed, **TRAINING), train_dataset=dataset, processing_class=processor,
        peft_config=lora, callbacks=[seen],
    )  # fmt: skip
    trainer.train()
    nll = np.array(seen.nll)
    near = [slice(max(0, row - 2 * BATCH), row + 2 * BATCH) for row in range(len(nll))]
    return np.asarray(nll - np.array([np.median(nll[rows]) for rows in near]))


def measure(wanted: Set, seed: int) -> dict[str, Any]:
    """One data set."""
    model, processor = load_spec(SPEC), load_spec_processor(SPEC)
    with tempfile.TemporaryDirectory() as folder:
        given, truth = planted(wanted, ROWS, seed, Path(folder), model, processor)
        order = np.random.default_rng(seed).permutation(len(given))
        rows, truth = [given[row] for row in order], truth[order]
        dataset = to_dataset(rows)
        scores = score_dataset(model, processor, dataset, batch_size=BATCH)
        scores = evidence_together(scores, model, processor, dataset, rows, WHOLE, batch_size=BATCH)
        late = first_epoch(rows, seed, folder)
    half = len(rows) // 2
    figures = {"auc_pretrained": auc(scores, truth, "nll"), "auc_adapted": auc(scores, truth, "adapted")}
    for name, part in (("first_epoch", slice(None)), ("early", slice(half)), ("late", slice(half, None))):
        figures[f"auc_{name}"] = float(roc_auc_score(truth[part], late[part]))
    return {"task": wanted.task, "attack": wanted.attack, "seed": seed, "rows": len(rows), **figures}


def table(lines: list[dict[str, Any]]) -> str:
    """A line a set: the mean over seeds (the worst in brackets)."""
    head = ("task", "attack", "seeds", "pretrained", "adapted", "first epoch", "its first half", "its second half")
    text = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for task, attack in SETS:
        if found := [line for line in lines if (line["task"], line["attack"]) == (task, attack)]:
            cells = [spread(found, name, min, "{:.3f}") for name in NAMES]
            text.append(f"| {' | '.join([task, attack, str(len(found)), *cells])} |")
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[52, 53, 54])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/first-epoch.jsonl"))
    parser.add_argument("--table", action="store_true", help="print what is there, and measure nothing")
    given = parser.parse_args()
    lines = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    done = {(line["task"], line["attack"], line["seed"]) for line in lines}
    wanted = [(*one, seed) for seed in given.seeds for one in SETS if (*one, seed) not in done]
    quiet_libraries()
    torch.set_num_threads(1)
    for task, attack, seed in [] if given.table else wanted:
        lines.append(measure(Set(task, attack, RATE), seed))
        print(lines[-1], flush=True)
        with given.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(lines[-1]) + "\n")
    print(table(lines))


if __name__ == "__main__":
    main()
