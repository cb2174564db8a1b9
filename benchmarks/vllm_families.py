"""Responses by a real vLLM, for tiny models of random weights: how far is it off transformers, with an adapter?

    python benchmarks/vllm_families.py            # all families, each in a process of its own
    python benchmarks/vllm_families.py llava      # one

For an environment with vLLM in it, or with its build for CPUs (docs/scale.md). Columns: the mean absolute difference of
log-probabilities in nats a token (`byorn.training.engine.probe`) for one response of two, with an adapter of random
weights; the same against the model without it, as a vLLM would have it that ignored the adapter.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

HIDDEN = 64
"""vLLM's attention on CPUs wants heads of 32 dimensions at least; there are two."""
NESTED = re.compile(r"vision_tower\.(?!vision_model)")
"""What recent releases of transformers write of a CLIP or SigLIP tower; vLLM reads names as they are on the Hub."""


def main() -> None:
    if len(sys.argv) == 2:
        print(measured(sys.argv[1]))
        return
    from byorn.testing.families import FAMILIES

    print("| family | nats a token | without the adapter |\n|---|---|---|")
    for family in FAMILIES:
        done = subprocess.run([sys.executable, __file__, family], capture_output=True, text=True)
        lines = (done.stderr if done.returncode else done.stdout).strip().splitlines()
        print(lines[-1] if not done.returncode else f"| {family} | {lines[-1].split(';')[0]} | |", flush=True)


def measured(family: str) -> str:
    """A row of the table."""
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForImageTextToText

    from byorn.models.load import load_processor
    from byorn.models.lora import default_lora
    from byorn.training.engine.checks import require_engine_model

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save(family, folder)
        plain = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        model = get_peft_model(plain, default_lora(plain)).eval()
        torch.manual_seed(0)
        for part, parameter in model.named_parameters():
            if "lora_B" in part:
                torch.nn.init.normal_(parameter, std=0.3)
        require_engine_model(model)
        own, without = differences(model, load_processor(str(folder)))
    return f"| {family} | {own:.3f} | {without:.2f} |"


def save(family: str, folder: Path) -> None:
    """A tiny model with its processor, as on the Hub."""
    from safetensors.torch import load_file, save_file

    from byorn.testing.families import build_family, parts

    parts.HIDDEN = HIDDEN  # before a family is imported
    for sizes in (parts.TEXT, parts.VISION):
        sizes.update(hidden_size=HIDDEN, intermediate_size=2 * HIDDEN)
    model, processor = build_family(family)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    path = folder / "model.safetensors"
    weights = load_file(path)
    if "vision_tower.embeddings.position_embedding.weight" in weights:
        weights = {NESTED.sub("vision_tower.vision_model.", key): tensor for key, tensor in weights.items()}
        save_file(weights, path, metadata={"format": "pt"})


def differences(model: Any, processor: Any) -> tuple[float, float]:
    """What the probe finds, and what it would find of the model without its adapter."""
    from PIL import Image

    from byorn.models.generate import encode_prompts
    from byorn.training.engine.probe import _difference, require_same_model
    from byorn.training.engine.source import VllmSampledResponses
    from byorn.training.sampling import Sampling

    pixels = np.random.default_rng(0).integers(0, 255, (2, 56, 56, 3), dtype=np.uint8)
    said = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what color is this?"}]}
    rows = [
        {"id": str(number), "turn": 0, "prompt": [said], "images": [Image.fromarray(image)]}
        for number, image in enumerate(pixels)
    ]
    found: list[float] = []

    def probed(model: Any, processor: Any, row: Any, response: Any) -> float:
        with model.disable_adapter():
            found.append(_difference(model, encode_prompts(processor, [row]), response))
        found.append(require_same_model(model, processor, row, response))
        return found[-1]

    sampled = VllmSampledResponses(processor, Sampling(seed=0, max_new_tokens=8), images=1, memory=0.05)
    with patch("byorn.training.engine.source.require_same_model", probed):
        sampled(model, rows, 0)
    without, own = found
    return own, without


if __name__ == "__main__":
    main()
