"""Flagged rows that learn the average's whole distribution at each token of a sample, not the sampled token alone.

    L(theta) = (1 / T) * sum_i sum_l sum_v -p_ema(v | t^_i<l, x_i, q_i) ln p_theta(v | t^_i<l, x_i, q_i)

Over the draws of t^ its gradient is that of the sampled loss: the token that was drawn is replaced by its expectation
given the tokens before it (Rao-Blackwell). What falls away is the noise. Where student and average agree the gradient
is zero, while a sampled token pulls even there. An extension of ours; the paper (arXiv 2606.02947) learns the sampled
tokens.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import log_softmax

from byorn.training.collator import Batch, Record
from byorn.training.ema import acting_as_ema
from byorn.training.responses import IGNORE
from byorn.training.stripped import as_asked

if TYPE_CHECKING:
    from peft import PeftModel

    from byorn.training.trainer import ByornTrainer

SOFT = "byorn_soft"
"""The key of a batch that says which of its rows have soft targets."""


def mark_soft(batches: Sequence[Batch], rows: Sequence[Batch], stripped: Mapping[str, str]) -> list[Batch]:
    """The encoded `batches` of a flagged step, marked; `rows` are the same batches as the collator gave them. Rows
    that are asked otherwise (`stripped`) learn the tokens: the average's distribution for what they ask would be
    another.
    """

    def is_soft(row: Record) -> bool:
        return "completion" not in row and as_asked(row, stripped)["prompt"] == row["prompt"]

    return [
        {**batch, SOFT: torch.tensor([is_soft(row) for row in own["rows"]])} if "rows" in own else batch
        for batch, own in zip(batches, rows, strict=True)
    ]


def soft_step(
    trainer: "ByornTrainer",
    model: torch.nn.Module,
    inputs: Batch,
    replaced: torch.Tensor,
    tokens: torch.Tensor | int | None,
) -> torch.Tensor:
    """The loss of a batch with soft targets, as the Trainer takes it; divergence and tokens are entered in its log.

    Args:
        trainer: With the model.
        model, inputs, replaced: As of `soft_loss`.
        tokens: Targets of the optimizer step in all processes; None: those of the batch count.
    """
    loss, divergence = soft_loss(model, trainer.accelerator.unwrap_model(trainer.model), inputs, replaced)
    trainer._metrics["train"]["divergence"].append(float(divergence))
    trainer._total_train_tokens += int(trainer.accelerator.gather_for_metrics(inputs["attention_mask"].sum()).sum())
    # tokens are counted over all processes, and DDP takes the mean of their gradients
    shared = trainer.args.average_tokens_across_devices and tokens is not None
    targets = (inputs["labels"] != IGNORE).sum() if tokens is None else tokens
    return loss / torch.as_tensor(targets).clamp(min=1) * (trainer.accelerator.num_processes if shared else 1)


def soft_loss(
    model: torch.nn.Module, bare: "PeftModel", inputs: Batch, replaced: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss, summed over target tokens, and the mean divergence KL(p_ema || p_theta) of the replaced rows in nats a
    token.

    Args:
        model: What is trained, as the Trainer wraps it.
        bare: The PEFT model in it, with the adapters of `byorn.training.ema`.
        inputs: Of the model, with `labels` [rows, tokens]. Logits are computed from the first target on only.
        replaced: bool [rows]; the other rows keep the plain loss on their own response.
    """
    labels = inputs["labels"][:, 1:]
    first = int((labels != IGNORE).any(0).int().argmax())
    forward = {key: value for key, value in inputs.items() if key != "labels"}
    forward |= {"use_cache": False, "logits_to_keep": labels.shape[1] + 1 - first}
    labels = labels[:, first:]
    wanted = labels != IGNORE
    with torch.no_grad(), acting_as_ema(bare):
        target = _log_probs(bare, forward, wanted)
    student = _log_probs(model, forward, wanted)
    soft = -(target.exp() * student).sum(-1)
    hard = -student.gather(-1, labels[wanted][:, None])[:, 0]
    own = replaced[:, None].expand_as(wanted)[wanted]
    divergence = (soft.detach() + (target.exp() * target).sum(-1))[own].sum() / own.sum().clamp(min=1)
    return torch.where(own, soft, hard).sum(), divergence


def _log_probs(model: torch.nn.Module, forward: Batch, wanted: torch.Tensor) -> torch.Tensor:
    """float32 [targets, vocabulary]."""
    return log_softmax(model(**forward).logits[:, :-1][wanted].float(), dim=-1)
