"""`ByornTrainer`: TRL's SFTTrainer that never learns a flagged response.

Flagged rows keep their images and instruction; their response is thrown away and sampled, at every visit, from the
moving average of the model. The loss is SFT's on whatever response a row has then, normalised by the tokens of the
whole optimiser step:

    R = (1 / T) * sum_i sum_l -ln p_theta(z_il | z_i<l, x_i, q_i),    z_i = y_i where u_i = 0, t^_i ~ p_ema where u_i =
    1

with T the number of tokens of all z in the step. With no flagged row it is SFTTrainer, bit for bit.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch.utils.data import Sampler
from trl import SFTTrainer

from byorn.errors import ConfigError, MismatchError
from byorn.flagging.percentile import flag_percentile
from byorn.flagging.table import Flags
from byorn.models.generate import Generated
from byorn.models.lora import default_lora
from byorn.models.template import end_ids
from byorn.scoring.score import score_dataset
from byorn.training.config import ByornConfig
from byorn.training.ema import STUDENT, EmaCallback, add_ema
from byorn.training.responses import EmaResponses, ResponseSource, learnt_length_limit
from byorn.training.sampler import GroupedSampler

IGNORE = -100


class ByornTrainer(SFTTrainer):
    """SFTTrainer with replaced responses.

    Args:
        model: As for SFTTrainer. Without a `peft_config` (and not yet a PEFT model) it gets LoRA on its language model.
        args: A `ByornConfig`.
        train_dataset: Prompt/completion rows with `images`; `id` and `turn` name them, a bool column `flagged` flags
            them.
        flags: Decisions of `byorn scan` or `flag_percentile`, one a row, in the same order. Without flags and without a
            `flagged` column the rows are scored first, by the model before any training, and flagged at
            `args.percentile`.
        source: Where replacement responses come from; the averaged model by default.
        **kwargs: Everything else of SFTTrainer.

    Attributes:
        flagged: bool array, the rows whose response is replaced.
        seconds: Wall-clock seconds spent in `scoring` and `sampling`.
        counts: Replaced visits, and how many of the sampled responses were empty or cut off.

    Raises:
        MismatchError: The flags are not about these rows.
        ConfigError: The arguments do not fit together.
    """

    _tag_names = ["trl", "byorn"]  # noqa: RUF012 - TRL's own name and type
    _name = "BYORn"

    # narrower than the base class says: byorn always has these
    args: Any
    train_dataset: Any
    processing_class: Any
    _signature_columns: Any

    def __init__(
        self,
        model: Any,
        args: ByornConfig | None = None,
        *,
        train_dataset: Any,
        flags: Flags | None = None,
        source: ResponseSource | None = None,
        peft_config: Any = None,
        **kwargs: Any,
    ) -> None:
        args = args or ByornConfig("byorn")
        self.seconds = {"scoring": 0.0, "sampling": 0.0}
        self.counts = {"replaced": 0, "empty": 0, "truncated": 0}
        if not isinstance(model, str) and peft_config is None and not hasattr(model, "peft_config"):
            peft_config = default_lora(model)
        super().__init__(model=model, args=args, train_dataset=train_dataset, peft_config=peft_config, **kwargs)
        if not hasattr(self.model, "peft_config"):
            raise ConfigError(
                "model: pass a loaded model, or a peft_config; byorn trains adapters, since the average is over the adapter"
            )
        self.flagged = self._flagged_rows(flags)
        if args.replacement == "drop":
            self._drop_flagged()
        if self.flagged.any():
            self._prepare_replacement(args, source)

    def _flagged_rows(self, flags: Flags | None) -> np.ndarray:
        columns = self.train_dataset.column_names
        if flags is None and "flagged" in columns:
            return np.array(self.train_dataset["flagged"], dtype=bool)
        if flags is None:
            flags = self._score_and_flag()
        elif "id" in columns:
            rows = list(zip(map(str, self.train_dataset["id"]), self.train_dataset["turn"], strict=True))
            if rows != flags.keys:
                raise MismatchError(
                    "flags: they are about other rows than the training set; run `byorn scan` on this data again"
                )
        if len(flags) != len(self.train_dataset):
            raise MismatchError(
                f"flags: {len(flags)} decisions for {len(self.train_dataset)} rows; run `byorn scan` on this data again"
            )
        kept = np.flatnonzero(~flags.dropped)
        if len(kept) < len(flags):
            self.train_dataset = self.train_dataset.select(kept)
        return flags.replaced[kept]

    def _score_and_flag(self) -> Flags:
        began = time.perf_counter()
        scores = score_dataset(
            self.model,
            self.processing_class,
            self.train_dataset,
            batch_size=self.args.score_batch_size,
            progress=not self.args.disable_tqdm,
        )
        self.seconds["scoring"] = time.perf_counter() - began
        return flag_percentile(scores, self.args.percentile)

    def _drop_flagged(self) -> None:
        self.train_dataset = self.train_dataset.select(np.flatnonzero(~self.flagged))
        self.flagged = np.zeros(len(self.train_dataset), dtype=bool)

    def _prepare_replacement(self, args: ByornConfig, source: ResponseSource | None) -> None:
        columns = [name for name in self.train_dataset.column_names if name != "flagged"]
        self.train_dataset = self.train_dataset.select_columns(columns).add_column("flagged", self.flagged)
        add_ema(self.model)
        self.add_callback(EmaCallback(args.ema_decay))
        self.clean_collator, self.data_collator = self.data_collator, self._collate
        self.source = source or self._ema_source(args)

    def _ema_source(self, args: ByornConfig) -> ResponseSource:
        limit = args.max_response_tokens
        if limit is None:
            trusted = self.train_dataset.select(np.flatnonzero(~self.flagged)).select_columns(["completion"])
            limit = learnt_length_limit(self.processing_class, [_text(row["completion"]) for row in trusted])
        return EmaResponses(
            self.processing_class,
            seed=args.seed,
            max_new_tokens=limit,
            temperature=args.response_temperature,
            top_p=args.response_top_p,
        )

    # --- the five hooks into SFTTrainer -------------------------------------------------------------------------------------------

    def _set_signature_columns_if_needed(self) -> None:
        """Let the columns that we need reach the collator; the Trainer drops what the model does not take."""
        super()._set_signature_columns_if_needed()
        self._signature_columns += [name for name in ("flagged", "id", "turn") if name not in self._signature_columns]

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        if not self.flagged.any():
            return super()._get_train_sampler(train_dataset)
        group = self.args.train_batch_size * self.args.world_size * self.args.gradient_accumulation_steps
        return GroupedSampler(self.flagged.tolist(), group, self.args.seed)

    def _collate(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Flagged rows stay rows until their responses are there; theirs are removed here, before anything can read
        them.
        """
        if rows[0].get("flagged"):
            return {"rows": [{key: value for key, value in row.items() if key != "completion"} for row in rows]}
        return self._encode(rows)

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], Any]:
        """Replace responses once an optimiser step, before its tokens are counted."""
        batches, count = super().get_batch_samples(epoch_iterator, num_batches, device)
        flagged = bool(batches) and "rows" in batches[0]
        if self.flagged.any():
            self._metrics["train"]["flagged_share"].append(float(flagged))
        if not flagged:
            return batches, count
        batches = self._replace(batches)
        return batches, self._get_num_items_in_batch(batches, device)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Export the student alone, as safetensors; checkpoints (internal calls) keep the average and the optimiser
        too.
        """
        if _internal_call:
            super().save_model(output_dir, _internal_call=True)
        elif self.args.should_save:
            folder = output_dir or self.args.output_dir
            model = self.accelerator.unwrap_model(self.model)
            model.save_pretrained(folder, selected_adapters=[STUDENT], safe_serialization=True)
            self.processing_class.save_pretrained(folder)

    # --- replacement --------------------------------------------------------------------------------------------------------------

    def _encode(self, rows: Sequence[dict[str, Any]]) -> Any:
        kept = ("prompt", "completion", "images")
        return self.clean_collator([{key: row[key] for key in kept} for row in rows])

    def _replace(self, batches: list[dict[str, Any]]) -> list[Any]:
        began = time.perf_counter()
        rows = [row for batch in batches for row in batch["rows"]]
        model = self.accelerator.unwrap_model(self.model)
        responses = iter(self.source(model, rows, self.state.global_step))
        replaced = [self._with_responses(batch["rows"], [next(responses) for _ in batch["rows"]]) for batch in batches]
        self.seconds["sampling"] += time.perf_counter() - began
        self._metrics["train"]["sampling_seconds"].append(time.perf_counter() - began)
        return [self._prepare_inputs(batch) for batch in replaced]

    def _with_responses(self, rows: list[dict[str, Any]], responses: list[Generated]) -> Any:
        completions = [
            [{"role": "assistant", "content": [{"type": "text", "text": response.text}]}] for response in responses
        ]
        batch = self._encode(
            [{**row, "completion": completion} for row, completion in zip(rows, completions, strict=True)]
        )
        self._unlearn_false_ends(batch["labels"], responses)
        self._count(responses)
        return batch

    def _unlearn_false_ends(self, labels: Any, responses: list[Generated]) -> None:
        """The template ends every turn; a response that was cut off did not end, so its end of turn is no target."""
        ends = end_ids(self.model, self.processing_class)
        for label, response in zip(labels, responses, strict=True):
            if response.truncated:
                positions = [i for i in (label != IGNORE).nonzero().flatten().tolist() if label[i].item() in ends]
                if positions:
                    label[positions[-1] :] = IGNORE

    def _count(self, responses: list[Generated]) -> None:
        empty = [not response.text.strip() for response in responses]
        truncated = [response.truncated for response in responses]
        self.counts["replaced"] += len(responses)
        self.counts["empty"] += sum(empty)
        self.counts["truncated"] += sum(truncated)
        metrics = self._metrics["train"]
        metrics["response_tokens"].append(float(np.mean([response.tokens for response in responses])))
        metrics["empty_responses"].append(float(np.mean(empty)))
        metrics["truncated_responses"].append(float(np.mean(truncated)))


def _text(messages: Any) -> str:
    if isinstance(messages, str):
        return messages
    blocks = [block for message in messages for block in _blocks(message["content"])]
    return "".join(block.get("text") or "" for block in blocks)


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
