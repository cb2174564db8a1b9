"""LoRA adapters that somebody exported, put on a model or looked at without their weights."""

import hashlib
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byorn.errors import ModelError
from byorn.runs.narrate import say
from byorn.text import first_line, shown

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
"""What PEFT reads the weights of an adapter from."""


def load_adapter(model: Any, adapter: str | Path) -> Any:
    """The model with a LoRA adapter on top, in eval mode.

    Raises:
        ModelError: There is no adapter there, or it does not fit the model, lacks weights of its layers, or has some
            that are not finite.
    """
    from peft import PeftModel

    _require_adapter(Path(adapter))
    mismatch = _other_base(Path(adapter), model)
    try:
        with warnings.catch_warnings():
            # PEFT warns, and leaves the layers that the file does not name as if nothing had been trained
            warnings.filterwarnings("error", "Found missing adapter keys")
            adapted = PeftModel.from_pretrained(model, str(adapter)).eval()
    except Exception as error:  # a foreign folder fails in every way there is
        reason = f"it {mismatch} ({first_line(error)})" if mismatch else first_line(error)
        raise ModelError(f"adapter {str(adapter)!r} does not load onto this model: {reason}") from error
    _require_finite(Path(adapter), adapted)
    if (unused := _saved_weights(Path(adapter)) - _weights(adapted)) > 0:
        say(f"  warning: adapter {str(adapter)!r}: {unused} of its weights belong to no layer here and are not used")
    if mismatch:
        say(f"  warning: adapter {str(adapter)!r} {mismatch}; it fits, but its figures mean little there")
    return adapted


def load_adapter_config(adapter: str | Path) -> Any:
    """The `PeftConfig` of an adapter, without its weights.

    Raises:
        ModelError: There is none, or it is damaged.
    """
    from peft import PeftConfig

    _require_adapter(Path(adapter))
    try:
        return PeftConfig.from_pretrained(str(adapter))
    except Exception as error:  # a foreign folder fails in every way there is
        raise ModelError(f"adapter {str(adapter)!r}: adapter_config.json: {first_line(error)}") from error


def files_digest(adapter: Path) -> str:
    """A short content hash of an adapter as it lies in its folder, configuration and weights: told without a model."""
    digest = hashlib.blake2b(digest_size=12)
    for path in sorted(path for path in adapter.glob("adapter_*") if path.is_file()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _require_adapter(adapter: Path) -> None:
    """Refuse what PEFT would look for on the Hub: `safe/adapter` is the name of a repository there as well."""
    if not (adapter / "adapter_config.json").is_file():
        raise ModelError(f"adapter: no adapter_config.json in {str(adapter)!r}; give the folder that training exported")
    if not any((adapter / name).is_file() for name in WEIGHTS):
        raise ModelError(f"adapter: no {WEIGHTS[0]} in {str(adapter)!r}; give the folder that training exported")
    if _config_of(adapter).get("peft_type") == "XLORA":
        raise ModelError(
            f"adapter {str(adapter)!r}: X-LoRA names further adapters, on the Hub perhaps; give a LoRA alone"
        )


def _require_finite(adapter: Path, adapted: Any) -> None:
    """Refuse weights that are no numbers: such a model answers nothing, which looks like a model without a backdoor."""
    named = ((name, weight) for name, weight in adapted.named_parameters() if ".default" in name)
    if broken := [name for name, weight in named if not bool(weight.isfinite().all())]:
        raise ModelError(
            f"adapter {str(adapter)!r}: {len(broken)} of its tensors are not finite, first "
            f"{shown(broken[0], 120)}; train it anew"
        )


def _config_of(adapter: Path) -> dict[str, Any]:
    """Its `adapter_config.json` as it stands there; empty where that is broken, of which PEFT complains."""
    try:
        config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def _saved_weights(adapter: Path) -> int:
    """How many LoRA weights an adapter's file holds; 0 where it is another kind of file."""
    from safetensors import safe_open

    path = adapter / "adapter_model.safetensors"
    if not path.is_file():
        return 0
    with safe_open(path, "np") as file:
        return sum("lora_" in name for name in file.keys())  # noqa: SIM118  # it is no mapping


def _weights(adapted: Any) -> int:
    """How many LoRA weights a PEFT model has."""
    return sum("lora_" in name for name, _ in adapted.named_parameters())


def _other_base(adapter: Path, model: "PreTrainedModel") -> str:
    """`trained on X, not Y` where an adapter in a folder names another base than `model`, else an empty string.

    Only the last parts of the names are compared, since a model may come from the hub once and from a folder later.
    """
    trained = _config_of(adapter).get("base_model_name_or_path")
    used = getattr(model.config, "_name_or_path", None)
    if not isinstance(trained, str) or not trained or not used or Path(trained).name == Path(used).name:
        return ""
    return f"was trained on {shown(trained)}, not {shown(used)}"
