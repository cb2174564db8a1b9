"""Nothing here may reach the network, and every run is on one CPU thread."""

import os

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def sharp_model(tmp_path_factory):
    """The tiny model with larger logits: as it is it finds all tokens about as likely, whatever its adapter says."""
    import torch

    from byorn.testing import tiny_model, tiny_processor

    folder = tmp_path_factory.mktemp("model")
    processor = tiny_processor()
    model: Any = tiny_model(processor=processor)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(10)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def adapters(sharp_model, tmp_path_factory):
    """Folders of LoRA adapters that change what the model says: `plain`, and `vision`, on the vision tower as well.
    Their weights are numbers of bfloat16, to which vLLM gets them rounded.
    """
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForImageTextToText

    from byorn.models.lora import default_lora

    folder = tmp_path_factory.mktemp("adapters")
    for name, vision in (("plain", False), ("vision", True)):
        model = AutoModelForImageTextToText.from_pretrained(sharp_model)
        tuned = get_peft_model(model, default_lora(model, vision=vision))
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for key, parameter in tuned.named_parameters():
                if "lora_" in key:
                    parameter.copy_((torch.randn(parameter.shape, generator=generator) * 0.3).bfloat16())
        tuned.save_pretrained(folder / name)
    return folder


@pytest.fixture
def engine(monkeypatch):
    import fake_vllm

    return fake_vllm.install(monkeypatch)
