"""What a run tells of itself, over the whole of it: sampled responses and seconds. Every checkpoint keeps both, so that
a resumed run tells what the straight one would.
"""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from byorn.models.generate import Generated
from byorn.runs.folder import write_json
from byorn.runs.ranks import is_main
from byorn.training.checkpoints import TALLY


class Tally(TrainerCallback):
    """Counts and seconds of a training.

    Attributes:
        counts: Replaced visits of this process, and how many of the sampled responses were `empty` or `truncated`. What
            all processes had counted at a checkpoint stands with the first one after a resume.
        seconds: Wall-clock seconds spent in `scoring`, `sampling` and `training`, sampling included.
        total: The counts of all processes, when training has ended.
    """

    def __init__(self) -> None:
        self.counts = {"replaced": 0, "empty": 0, "truncated": 0}
        self.seconds = {"scoring": 0.0, "sampling": 0.0, "training": 0.0}
        self.total: dict[str, int] | None = None
        self._since: float | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self._since = time.perf_counter()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self._pass_time()
        self._since = None
        self.total = of_all_processes(self.counts)

    def add(self, responses: Sequence[Generated]) -> dict[str, float]:
        """Count sampled responses; the means over them that are logged."""
        empty = sum(not response.text.strip() for response in responses)
        truncated = sum(response.truncated for response in responses)
        for name, count in (("replaced", len(responses)), ("empty", empty), ("truncated", truncated)):
            self.counts[name] += count
        return {
            "response_tokens": float(np.mean([response.tokens for response in responses])),
            "empty_responses": empty / len(responses),
            "truncated_responses": truncated / len(responses),
        }

    def save(self, checkpoint: Path) -> None:
        """Write it into a checkpoint; all processes must call it."""
        self._pass_time()
        content = {"counts": of_all_processes(self.counts), "seconds": self.seconds}
        checkpoint.mkdir(parents=True, exist_ok=True)
        write_json(checkpoint / TALLY, content)

    def load(self, checkpoint: Path) -> None:
        """Go on from a checkpoint."""
        kept = json.loads((checkpoint / TALLY).read_text(encoding="utf-8"))
        before = kept.get("counts", {}) if is_main() else {}
        self.counts.update({name: before.get(name, 0) for name in self.counts})
        self.seconds.update(kept.get("seconds", {}))

    def _pass_time(self) -> None:
        now = time.perf_counter()
        if self._since is not None:
            self.seconds["training"] += now - self._since
            self._since = now


def of_all_processes(counts: Mapping[str, int]) -> dict[str, int]:
    """The sums over the processes of a group; all of them must call it."""
    from accelerate.utils import gather_object

    each = gather_object([dict(counts)])
    return {name: sum(one[name] for one in each) for name in counts}
