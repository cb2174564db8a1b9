"""The settings of loading a model, and of the adapter on it. No torch here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from byorn.errors import ConfigError
from byorn.settings import at_least, below, check_settings, is_pattern, positive, setting

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
MOST_RANKS = 65_536  # wider than the layers of any model, so that a typo is no demand for all memory
Quantize = Literal["none", "4bit", "8bit"]
# transformers also takes the name of a hub repository, whose native code it then runs; byorn does not
Attention = Literal["eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"]


def require_trust(name: str, value: object) -> bool:
    """The value, if it is True or False: nothing else says whether the Python code of a model folder is run.

    Raises:
        ConfigError: It is something else, such as the text "false", which Python takes for true.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name}: {value!r} is not true or false; it decides whether a model's own code is run")
    return value


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Which model, and how to load it."""

    name: str = setting(
        help="folder or hub name of a vision-language model, or 'embedded'", option="model", metavar="NAME"
    )
    dtype: Dtype = setting(
        "auto", help="number type of the weights; auto takes the checkpoint's where the device computes in it"
    )
    device: str | None = setting(None, help="cpu, cuda, cuda:1, ...", shown="the first GPU if there is one")
    trust_remote_code: bool = setting(False, help="run Python code that comes with the model; think twice")
    quantize: Quantize = setting("none", help="load the weights in fewer bits")
    attention: Attention | None = setting(None, help="attention kernel", shown="the model's own")
    max_pixels: int | None = setting(
        None,
        help="pixels that an image is reduced to, where the model takes images of any size (Qwen-VL); fewer take less "
        "memory and time, and show less",
        metavar="N",
        check=at_least(1024),
        shown="the processor's own limit",
    )
    feature_cache: float = setting(
        0.0,
        help="gigabytes of memory for image features, computed once for all passes where the vision tower does not "
        "learn; scores then change in their last digits, 0 keeps none",
        metavar="GB",
        check=at_least(0),
    )
    feature_store: Path | None = setting(
        None,
        help="folder that keeps image features for later runs of the same vision tower on the same images, with or "
        "without feature_cache; scores change as by it",
        metavar="DIR",
    )
    feature_store_size: float = setting(
        20.0, help="gigabytes that the feature store may hold; then nothing is added", metavar="GB", check=positive
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, kw_only=True)
class LoraSpec:
    """The LoRA adapter that is trained."""

    rank: int = setting(16, help="rank", option="lora_rank", check=below(MOST_RANKS + 1, 1))
    alpha: int | None = setting(None, help="scale", option="lora_alpha", check=positive, shown="twice the rank")
    dropout: float = setting(0.0, help="dropout on the adapter's input", option="lora_dropout", check=below(1))
    vision: bool = setting(False, help="adapt the layers of the vision tower as well", option="lora_vision")
    targets: str | None = setting(
        None, help="regular expression of the modules, instead of the default", option="lora_targets", metavar="REGEX",
        check=is_pattern,
        shown="every linear layer of the language model",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_settings(self)
