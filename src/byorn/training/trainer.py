"""`ByornTrainer`: TRL's SFTTrainer that never learns a flagged response.

Flagged rows keep their images and instruction; their response is thrown away and sampled, at every visit, from the
moving average of the model. The loss is SFT's on whatever response a row has then, normalized by the tokens of the
whole optimizer step:

    R = (1 / T) * sum_i sum_l -ln p_theta(z_il | z_i<l, x_i, q_i)
    z_i = y_i where u_i = 0,  z_i = t^_i ~ p_ema(. | x_i, q_i) where u_i = 1

with T the number of tokens of all z in the step. With no flagged row it is SFTTrainer, bit for bit. With `soft_targets`
the token z_il of a flagged row is replaced by its expectation, see `soft_targets.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler
from transformers.trainer import TRAINING_ARGS_NAME
from trl import SFTTrainer

from byorn.errors import DataError
from byorn.flagging.table import Flags
from byorn.models.collate import WholeRowCollator, encodes_responses
from byorn.models.load import resolve_checkpoint
from byorn.models.quantize import keep_differentiable
from byorn.runs.narrate import say
from byorn.training.arguments import lora_for, readable_head, require_arguments, require_trainable
from byorn.training.blocks import Blocks
from byorn.training.card import write_own_card
from byorn.training.checkpoints import whole_checkpoint
from byorn.training.collator import REPLACED, Batch, Record
from byorn.training.completion import Completer
from byorn.training.config import ByornConfig, output_folder
from byorn.training.decide import decide, decisions_of
from byorn.training.ema import STUDENT, EmaCallback, types_kept, written
from byorn.training.finite import FiniteGradients, require_finite_weights
from byorn.training.frozen import FrozenTower
from byorn.training.processes import SameSteps, rows_a_step
from byorn.training.progress import show_progress
from byorn.training.push import push_trained
from byorn.training.replacement import prepare_replacement, replace_responses
from byorn.training.responses import ResponseSource
from byorn.training.rows import as_eval_rows, as_rows
from byorn.training.sampler import GroupedSampler
from byorn.training.sharded import own_sharding
from byorn.training.soft_targets import SOFT, soft_step
from byorn.training.tally import Tally

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel, ProcessorMixin
    from transformers.trainer_utils import TrainOutput
    from transformers.utils import ModelOutput


class ByornTrainer(SFTTrainer):
    """SFTTrainer with replaced responses.

    Args:
        model: As for SFTTrainer, or `embedded`. Without a `peft_config` (and not yet a PEFT model) it gets LoRA on its
            language model.
        args: A `ByornConfig`.
        train_dataset: Prompt/completion rows with `images`; `id` and `turn` name them, a bool column `flagged` flags
            them.
        flags: Decisions of `byorn scan` or `flag_percentile`, one a row, in the same order. Without flags and without a
            `flagged` column the rows are scored first, by the model before any training, and flagged by
            `args.rule`.
        source: Where replacement responses come from; the averaged model by default, sampled by `args.response_engine`.
        **kwargs: Everything else of SFTTrainer.

    Attributes:
        flagged: bool array, the rows whose response is replaced; `flagged_rows` counts those that are dropped as well.
        flags: The flags that were given, or those that were made and lie in `output_dir/flags.parquet`; None where the
            column `flagged` says it.
        scores: The scores behind those, also in `output_dir/scores.parquet`; None where the rows were not scored here.
            A trainer of the same rows and model finds both there and scores nothing again.
        tally: Responses that were sampled and seconds that were spent, checkpoints before a resume included.
        average: What moves the average, with its decay; None where no response is replaced.
        blocks: What samples ahead; None where each flagged step samples its own.
        stripped: Instruction of flagged rows -> the one that they are answered from (`byorn.training.stripped`).

    Raises:
        MismatchError: The flags are not about these rows.
        ConfigError: The arguments do not fit together.
        DataError: The rows are not of that form, or none is left after dropping.
        ModelError: The model cannot be loaded, or its language model is not found.
        TrainingError: The checkpoint that `args.resume_from_checkpoint` names is damaged.
    """

    _tag_names = ["trl", "byorn"]  # noqa: RUF012 - TRL's own name and type
    _name = "BYORn"

    # narrower than the base class says: byorn always has these
    args: ByornConfig
    model: "PeftModel"
    train_dataset: "Dataset"
    data_collator: Callable[[Sequence[Record]], Batch]
    processing_class: "ProcessorMixin"
    _signature_columns: list[str]  # type: ignore[assignment]  # None there only until it is set
    flagged: np.ndarray
    # where a response is replaced
    sampler: GroupedSampler
    source: ResponseSource
    complete: Completer

    def __init__(
        self,
        model: "str | PreTrainedModel | PeftModel",
        args: ByornConfig | None = None,
        *,
        train_dataset: "Dataset",
        flags: Flags | None = None,
        source: ResponseSource | None = None,
        peft_config: "PeftConfig | None" = None,
        **kwargs: Any,
    ) -> None:
        args, train_dataset = args or ByornConfig("byorn"), as_rows(train_dataset)
        require_arguments(args, model, train_dataset, kwargs)
        args.assistant_only_loss = False  # the response is all that is learned; TRL's way there wants `messages`
        kwargs["eval_dataset"] = as_eval_rows(kwargs.get("eval_dataset"))
        self.tally = Tally()
        self.average: EmaCallback | None = None
        self.blocks: Blocks | None = None
        self.stripped: dict[str, str] = {}
        model = resolve_checkpoint(model) if isinstance(model, str) else model
        if peft_config is None and not hasattr(model, "peft_config"):
            peft_config = lora_for(model, args)
        with own_sharding(self, args):
            super().__init__(model=model, args=args, train_dataset=train_dataset, peft_config=peft_config, **kwargs)
        if not kwargs.get("data_collator") and not encodes_responses(self.processing_class):
            self.data_collator = WholeRowCollator(self.processing_class)
        keep_differentiable(self.model)
        readable_head(self.model)
        require_trainable(self)
        show_progress(self)
        self._decide(flags)
        steps = SameSteps(rows_a_step(args), decisions_of(self.train_dataset, self.flagged))
        for callback in (self.tally, FiniteGradients(), FrozenTower()):
            self.add_callback(callback)
        if self.flagged.any():
            prepare_replacement(self, source)
        self._kept = [part for part in (self.tally, steps, self.blocks) if part is not None]

    def _decide(self, flags: Flags | None) -> None:
        """Which rows are learned, and whose responses are replaced."""
        decision = decide(self, flags)
        self.rows = len(self.train_dataset)
        self.flags, self.scores, self.flagged = decision.flags, decision.scores, decision.flagged
        if flags is None and self.flags is not None and self.flags.reviews.any:
            say(f"  {self.flags.reviews}")
        self._keep(decision.kept)
        self.flagged_rows = int(self.flagged.sum())
        if self.args.replacement == "drop":
            self._keep(~self.flagged)
            self.flagged = self.flagged[~self.flagged]

    def _keep(self, kept: np.ndarray) -> None:
        if not kept.any():
            raise DataError("train_dataset: every row is dropped; flag fewer, or use replacement='ema'")
        if not kept.all():
            self.train_dataset = self.train_dataset.select(np.flatnonzero(kept))

    @property
    def further_adapters(self) -> list[str]:
        """The adapters beside the trained one, which checkpoints keep in folders of their names."""
        return [name for name in self.model.peft_config if name != STUDENT]

    # --- the hooks into SFTTrainer ------------------------------------------------------------------------------------

    def _set_signature_columns_if_needed(self) -> None:
        """Let the columns that we need reach the collator; the Trainer drops what the model does not take."""
        super()._set_signature_columns_if_needed()
        self._signature_columns += [name for name in (REPLACED, "id", "turn") if name not in self._signature_columns]

    def _get_train_sampler(self, train_dataset: "Dataset | None" = None) -> Sampler[int] | None:
        return self.sampler if self.flagged.any() else super()._get_train_sampler(train_dataset)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Batch], torch.Tensor | int | None]:
        """Replace responses once an optimizer step, before its tokens are counted.

        A resumed run that has made its last step gets no batch: the Trainer looks for its end only after a step.
        """
        if self.state.global_step >= self.state.max_steps:
            return [], None
        batches = list(islice(epoch_iterator, num_batches))
        flagged = any("rows" in batch for batch in batches)
        if self.flagged.any():
            self._metrics["train"]["flagged_share"].append(float(flagged))
        if flagged:
            batches = replace_responses(self, batches)
        return super().get_batch_samples(iter(batches), num_batches, device)

    def compute_loss(
        self, model: torch.nn.Module, inputs: Batch, return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> "torch.Tensor | tuple[torch.Tensor, ModelOutput]":  # fmt: skip
        """SFTTrainer's; on a flagged step with soft targets the cross-entropy with the average's distributions."""
        replaced = inputs.pop(SOFT, None)
        if replaced is not None:
            return soft_step(self, model, inputs, replaced, num_items_in_batch)
        plain: torch.Tensor | tuple[torch.Tensor, ModelOutput] = super().compute_loss(
            model, inputs, return_outputs, num_items_in_batch
        )
        return plain

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        for part in self._kept:
            part.load(Path(resume_from_checkpoint))
        with types_kept(self.model):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Export the student alone, as safetensors; checkpoints (internal calls) keep the average and the optimizer.

        Raises:
            TrainingError: Weights are not finite.
        """
        require_finite_weights(written(self.model), self.args, self.state.global_step)
        if _internal_call:
            if output_dir:
                for part in self._kept:
                    part.save(Path(output_dir))
            super().save_model(output_dir, _internal_call=True)
            if output_dir and self.args.should_save:  # a pickle with code in it, which nothing ever reads
                (Path(output_dir) / TRAINING_ARGS_NAME).unlink(missing_ok=True)
        elif self.args.should_save:
            folder = Path(output_dir) if output_dir else output_folder(self.args)
            model = self.accelerator.unwrap_model(self.model)
            model.save_pretrained(folder, selected_adapters=[STUDENT], safe_serialization=True)
            self.processing_class.save_pretrained(folder)
            write_own_card(self, folder)

    def train(
        self, resume_from_checkpoint: str | bool | None = None, trial: Any = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> "TrainOutput":  # fmt: skip
        """As SFTTrainer's; from the last checkpoint (True) means the last whole one, as with `byorn train`; a damaged
        one that is named is refused.
        """
        start = whole_checkpoint(output_folder(self.args), self.further_adapters, resume_from_checkpoint)
        return super().train(start, trial, ignore_keys_for_eval)

    def evaluate(
        self, eval_dataset: "Dataset | dict[str, Dataset] | None" = None, ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:  # fmt: skip
        """As SFTTrainer's, on rows of any form that the training set may have."""
        return super().evaluate(as_eval_rows(eval_dataset), ignore_keys, metric_key_prefix)

    def get_test_dataloader(self, test_dataset: "Dataset") -> "DataLoader[Any]":
        """As SFTTrainer's, for `predict`, on rows of the same forms."""
        return super().get_test_dataloader(as_rows(test_dataset, "test_dataset"))

    def create_model_card(  # type: ignore[override]  # TRL's parameters, not transformers'
        self, model_name: str | None = None, dataset_name: str | None = None, tags: str | list[str] | None = None
    ) -> None:
        """Write byorn's own card into `output_dir`: what was flagged, what was replaced, and the limits."""
        if self.is_world_process_zero():
            write_own_card(self, output_folder(self.args), dataset_name, tags)

    def push_to_hub(  # type: ignore[override]  # the address alone, not its CommitInfo
        self, commit_message: str | None = None, blocking: bool = True, token: str | None = None,
        revision: str | None = None, private: bool | None = None, **kwargs: Any,
    ) -> str:  # fmt: skip
        """Upload the exported adapter with its card, and nothing else of `output_dir`; returns the address."""
        return push_trained(self, kwargs, message=commit_message, token=token, revision=revision, private=private)
