"""Trainers whose responses vLLM samples, or its stand-in."""

import torch
from runner import build
from transformers import AutoModelForImageTextToText

from byorn.training.ema import adapter_pairs


def trainer_of(folder, saved, **changes):
    """A trainer of the tiny model as it lies in a folder, whose responses vLLM samples."""
    model = AutoModelForImageTextToText.from_pretrained(saved)
    return build(folder, model=model, response_engine="vllm", **changes)


def part(trainer):
    """Move the average away from the base model, and the student away from both."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for average, student in zip(*adapter_pairs(trainer.model), strict=True):
            average.copy_(torch.randn(average.shape, generator=generator) * 0.3)
            student.copy_(torch.randn(student.shape, generator=generator) * 0.3)


def rows_of(trainer, count=3):
    return list(trainer.train_dataset.select(range(count)))
