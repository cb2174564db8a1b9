"""The embedded model and its world: a small LLaVA, and the drawn scenes that it was pretrained on and is fine-tuned on.

It stands in for a real LVLM where there is no GPU and no model hub: in `byorn demo`, in the tests, in the bench.
Nothing in the rest of byorn knows about it; it is loaded like any other checkpoint, from the folder that `weights_path`
names.
"""

from pathlib import Path


def weights_path() -> Path:
    """The folder of the embedded checkpoint (config, tokenizer, processor, safetensors)."""
    return Path(__file__).parent / "weights"
