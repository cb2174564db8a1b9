"""Load a vision-language model and its processor, and say exactly which one it was."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from byorn.data.pixels import first_line
from byorn.embedded import weights_path
from byorn.errors import ConfigError, ModelError

DTYPES = ("auto", "float32", "bfloat16", "float16")


def resolve_model(model: str) -> str:
    """A folder or hub name as transformers wants it; `embedded` names the small model that comes with byorn."""
    if model == "embedded":
        return str(weights_path())
    if model.startswith((".", "/", "~")) and not Path(model).expanduser().is_dir():
        raise ModelError(f"model: no folder {model!r}; give a folder with a config.json, a hub name, or 'embedded'")
    return str(Path(model).expanduser()) if model.startswith("~") else model


def load_processor(model: str, *, trust_remote_code: bool = False) -> Any:
    """The processor of a model (tokenizer, image processor, chat template).

    Raises:
        ModelError: There is none, or it has no chat template, or it is a text-only tokenizer.
    """
    from transformers import AutoProcessor, ProcessorMixin

    name = resolve_model(model)
    try:
        processor = AutoProcessor.from_pretrained(name, trust_remote_code=trust_remote_code)
    except Exception as error:  # a foreign folder fails in every way there is
        raise ModelError(f"model {model!r}: its processor cannot be loaded: {first_line(error)}") from error
    if not isinstance(processor, ProcessorMixin) or getattr(processor, "tokenizer", None) is None:
        raise ModelError(
            f"model {model!r}: it has a tokenizer but no image processor; byorn needs a vision-language model"
        )
    if not processor.chat_template:
        raise ModelError(
            f"model {model!r}: its processor has no chat template; use an instruction-tuned checkpoint, or add one"
        )
    return processor


def load_model(model: str, *, dtype: str = "auto", device: str | None = None, trust_remote_code: bool = False) -> Any:
    """The model in eval mode on `device` (default: the first GPU, else the CPU).

    `dtype="auto"` takes the type of the checkpoint on a GPU, and float32 on a CPU, where half precision is slow and
    inexact.

    Raises:
        ModelError: It cannot be loaded, or it is no image-text-to-text model, or the device is not there.
        ConfigError: `dtype` is none of `DTYPES`.
    """
    from transformers import AutoModelForImageTextToText

    if dtype not in DTYPES:
        raise ConfigError(f"dtype: {dtype!r} is unknown; use one of {', '.join(DTYPES)}")
    name, device = resolve_model(model), device or default_device()
    wanted = "float32" if dtype == "auto" and device == "cpu" else dtype
    try:
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            name, dtype=wanted, trust_remote_code=trust_remote_code
        )
        loaded.to(device)
    except Exception as error:  # a foreign folder fails in every way there is: broken tensors, settings of wrong types
        raise ModelError(f"model {model!r} cannot be loaded: {first_line(error)}") from error
    return loaded.eval()


def load_adapter(model: Any, adapter: str | Path) -> Any:
    """The model with a LoRA adapter on top, in eval mode.

    Raises:
        ModelError: There is no adapter there, or it does not fit the model.
    """
    from peft import PeftModel

    if not (Path(adapter) / "adapter_config.json").is_file() and os.sep in str(adapter):
        raise ModelError(f"adapter: no adapter_config.json in {str(adapter)!r}; give the folder that training exported")
    try:
        return PeftModel.from_pretrained(model, str(adapter)).eval()
    except Exception as error:  # a foreign folder fails in every way there is
        raise ModelError(f"adapter {str(adapter)!r} does not load onto this model: {first_line(error)}") from error


def default_device() -> str:
    """The device that this process uses: its own GPU under torchrun, else the first GPU, else the CPU."""
    import torch

    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"


def model_digest(model: Any) -> str:
    """A short content hash of a model: names, shapes, types and 64 evenly spaced values of each parameter.

    It tells two checkpoints apart at the cost of a few megabytes of reading, whatever the size of the model; adapters
    do not count.
    """
    digest = hashlib.blake2b(digest_size=12)
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            continue
        flat = parameter.detach().reshape(-1)
        values = flat[:: max(1, flat.numel() // 64)][:64].float().cpu().numpy()
        plain = name.replace("base_model.model.", "").replace(".base_layer", "")
        digest.update(f"{plain} {tuple(parameter.shape)} {parameter.dtype}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def processor_digest(processor: Any) -> str:
    """A short hash of what turns a row into tensors: chat template, vocabulary, special tokens, image settings."""
    tokenizer = processor.tokenizer
    settings = [processor.chat_template, tokenizer.get_vocab(), tokenizer.special_tokens_map, processor.to_dict()]
    # JSON, since the numbers and lists of a saved processor come back as other types that mean the same
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
