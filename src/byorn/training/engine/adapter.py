"""The adapter that a model acts with as a folder that an engine reads: by itself, as PEFT writes it."""

import shutil
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any
from weakref import finalize

if TYPE_CHECKING:
    import torch
    from peft import PeftModel


@dataclass(frozen=True)
class Version:
    """One state of an adapter on disk.

    Attributes:
        name: Of no other version.
        number: Above 0, of no other version.
        folder: With `adapter_config.json` and `adapter_model.safetensors`.
    """

    name: str
    number: int
    folder: Path


def acting_adapter(model: Any) -> str | None:
    """The name of the adapter that a model acts with; None for a model without any."""
    from peft import PeftModel

    return str(model.active_adapter) if isinstance(model, PeftModel) else None


class Versions:
    """Writes an adapter each time under another name and number. vLLM keeps what it has computed by the name of an
    adapter, and where a name comes again it may serve what belongs to the earlier weights (its issues 30931, 42125).

    They lie in a folder of the system's temporary one, which goes with this object, or when Python ends.

    Args:
        dtype: Number type of the engine, into which an average, float32, is rounded.
    """

    def __init__(self, dtype: "torch.dtype") -> None:
        self.dtype = dtype
        self._root = Path(mkdtemp(prefix="byorn-adapter-"))
        finalize(self, shutil.rmtree, self._root, ignore_errors=True)
        self._numbers = count(1)

    def write(self, model: "PeftModel") -> Version:
        """The adapter that the model acts with, as it is now, whole or not at all; earlier versions are removed."""
        number, earlier = next(self._numbers), list(self._root.iterdir())
        partial, folder = self._root / f".{number}", self._root / f"adapter-{number}"
        partial.mkdir()
        _write(model, partial, self.dtype)
        partial.rename(folder)
        for path in earlier:
            shutil.rmtree(path, ignore_errors=True)
        return Version(folder.name, number, folder)


def _write(model: "PeftModel", folder: Path, dtype: "torch.dtype") -> None:
    """What `save_pretrained` would write of the adapter, but for its card and its number type."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    name = str(acting_adapter(model))
    weights = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    rounded = {key: weight.detach().to("cpu", dtype).contiguous() for key, weight in weights.items()}
    save_file(rounded, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    model.peft_config[name].save_pretrained(str(folder))
