"""A stand-in for the package `vllm`, as its version 0.33 reads in the source: it runs the tiny model with the adapter
that it is given, and refuses what vLLM refuses. It knows nothing of speed, kernels and memory.
"""

import random
import sys
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)


class SamplingParams:
    """Has every field that it is given."""

    def __init__(self, **fields):
        assert 0 <= fields["temperature"] <= 2
        assert 0 < fields["top_p"] <= 1
        assert fields["max_tokens"] >= 1
        assert len(fields["logit_bias"]) <= 1024
        assert all(abs(bias) <= 100 for bias in fields["logit_bias"].values())
        assert -(2**63) <= fields["seed"] < 2**63
        self.__dict__.update(fields)


class LoRARequest:
    """Name, number and folder of an adapter."""

    def __init__(self, lora_name, lora_int_id, lora_path):
        assert lora_int_id >= 1
        assert Path(lora_path).is_absolute()
        self.name, self.number, self.path = lora_name, lora_int_id, Path(lora_path)


class LLM:
    """The engine. Class attributes make it misbehave; what it was asked stays on it.

    Attributes:
        ignores_adapters: It answers with the base model.
        ignores_bias: It samples nothing but what it was told not to.
        doubles_start: It puts a token before each prompt.
        breaks: What its parts raise: `start` or `generate` -> an error.
        made: All engines of a test.
    """

    ignores_adapters = False
    ignores_bias = False
    doubles_start = False
    breaks: dict[str, Exception] = {}  # noqa: RUF012 - tests replace it
    made: list["LLM"] = []  # noqa: RUF012 - tests replace it

    def __init__(self, model, **options):
        if error := self.breaks.get("start"):
            raise error
        assert not options.get("enable_lora") or options["max_lora_rank"] in RANKS
        assert options["dtype"] in ("bfloat16", "float16")
        self.options = {"model": model, **options}
        self.base = AutoModelForImageTextToText.from_pretrained(model).eval()
        self.processor = AutoProcessor.from_pretrained(model)
        self.requests: list[LoRARequest] = []
        self.loaded: list[dict[str, torch.Tensor]] = []
        self.calls: list[list[tuple[Any, SamplingParams]]] = []
        self.sampled: list[list[int]] = []
        random.seed(options["seed"])
        np.random.seed(options["seed"])
        torch.manual_seed(options["seed"])
        self.made.append(self)

    def generate(self, prompts, sampling_params, *, lora_request, use_tqdm):
        if error := self.breaks.get("generate"):
            raise error
        assert len(prompts) == len(sampling_params)
        self.calls.append(list(zip(prompts, sampling_params, strict=True)))
        if lora_request is None:
            return [self._answer(self.base, *asked) for asked in self.calls[-1]]
        assert self.options["enable_lora"]
        self.requests.append(lora_request)
        self.loaded.append(load_file(lora_request.path / "adapter_model.safetensors"))
        with torch.random.fork_rng():
            model = PeftModel.from_pretrained(self.base, str(lora_request.path)).eval()
        try:
            if not self.ignores_adapters:
                return [self._answer(model, *asked) for asked in self.calls[-1]]
            with model.disable_adapter():
                return [self._answer(model, *asked) for asked in self.calls[-1]]
        finally:
            self.base = model.unload()

    @torch.no_grad()
    def _answer(self, model, prompt, params):
        inputs = self._expanded(prompt)
        asked = inputs["input_ids"][0].tolist()
        generator = torch.Generator().manual_seed(params.seed)
        ids: list[int] = []
        found = []
        while len(ids) < params.max_tokens and not (ids and ids[-1] in params.stop_token_ids):
            inputs["input_ids"] = torch.tensor([asked + ids])
            inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
            logits = model(**inputs).logits[0, -1].float()
            raw = logits.log_softmax(-1)
            for token, bias in params.logit_bias.items():
                logits[token] += 100 if self.ignores_bias else bias  # raises for a token that the model does not have
            likely = (logits / params.temperature).softmax(-1) if params.temperature else None
            chosen = int(logits.argmax() if likely is None else torch.multinomial(likely, 1, generator=generator))
            ids.append(chosen)
            found.append({chosen: SimpleNamespace(logprob=float(raw[chosen]))})
        self.sampled.append(ids)
        logprobs = None if params.logprobs is None else found
        return SimpleNamespace(
            prompt_token_ids=asked, outputs=[SimpleNamespace(token_ids=ids, logprobs=logprobs, index=0)]
        )

    def _expanded(self, prompt):
        """The processor's inputs: an image is one token in the prompt."""
        text = self.processor.tokenizer.decode(prompt["prompt_token_ids"])
        images = prompt.get("multi_modal_data", {}).get("image")
        assert len(images or []) <= self.options["limit_mm_per_prompt"]["image"]
        inputs = dict(self.processor(text=[text], images=images, add_special_tokens=False, return_tensors="pt"))
        if self.doubles_start:
            inputs["input_ids"] = torch.cat([inputs["input_ids"][:, :1], inputs["input_ids"]], dim=1)
        return inputs


def install(monkeypatch: Any) -> type[LLM]:
    """Put it in the place of vLLM, on a machine that seems to have a GPU; returns the engine of this test."""

    class Engine(LLM):
        made: list[LLM] = []  # noqa: RUF012 - of this test alone

    package: Any = ModuleType("vllm")
    package.__spec__ = ModuleSpec("vllm", None)
    package.__version__, package.LLM, package.SamplingParams = "0.33.0", Engine, SamplingParams
    lora: Any = ModuleType("vllm.lora.request")
    lora.LoRARequest = LoRARequest
    for name, module in (("vllm", package), ("vllm.lora", ModuleType("vllm.lora")), ("vllm.lora.request", lora)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("byorn.training.engine.checks.has_gpu", lambda on_cpu: True)
    for name in ("VLLM_ENABLE_V1_MULTIPROCESSING", "VLLM_NO_USAGE_STATS", "VLLM_LOGGING_LEVEL"):
        monkeypatch.setenv(name, "set by the test")  # so that what is set meanwhile goes with it
        monkeypatch.delenv(name)
    return Engine


def asked(engine):
    """How many rows each call of the engines of this test was about."""
    return [len(call) for made in engine.made for call in made.calls]


@contextmanager
def killed_when_asked_again(engine):
    """Every engine answers one call; at the next one the process is killed."""
    plain = engine.generate

    def killed(self, prompts, sampling_params, **options):
        if self.calls:
            raise KeyboardInterrupt
        return plain(self, prompts, sampling_params, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(engine, "generate", killed)
        yield
