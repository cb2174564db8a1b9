"""Load a vision-language model and its processor, and say exactly which one it was."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byorn.embedded import weights_path
from byorn.errors import ConfigError, ModelError
from byorn.models.feature_store import FeatureStore
from byorn.models.features import keep_features
from byorn.models.quantize import keep_differentiable, quantization_config
from byorn.models.sharding import Layout, shard
from byorn.models.spec import ModelSpec, require_trust
from byorn.models.template import prints_blocks
from byorn.runs.folder import make_folder
from byorn.runs.narrate import for_machines, say
from byorn.text import first_line

if TYPE_CHECKING:
    from transformers import PretrainedConfig, ProcessorMixin


def resolve_model(model: str) -> str:
    """A folder or hub name as transformers wants it; `embedded` names the small model that comes with byorn."""
    if model == "embedded":
        return str(weights_path())
    if not Path(model).expanduser().is_dir() and _means_a_folder(model):
        raise ModelError(
            f"model: no folder {model!r}; give a folder with a config.json, a hub name (owner/name), or 'embedded'"
        )
    return str(Path(model).expanduser()) if model.startswith("~") else model


def _means_a_folder(model: str) -> bool:
    """Whether a name cannot be one of the Hub, which is not asked about a slip of the keyboard: it has no owner, or
    its first part lies here.
    """
    return model.startswith((".", "/", "~")) or "/" not in model or os.path.lexists(model.split("/")[0])


def resolve_checkpoint(model: str) -> str:
    """`resolve_model` of what holds weights of its own.

    Raises:
        ModelError: It is a folder with an adapter alone, or none.
    """
    name = resolve_model(model)
    if (Path(name) / "adapter_config.json").is_file() and not (Path(name) / "config.json").is_file():
        raise ModelError(
            f"model {model!r}: it is an adapter, not a model; give the model that it was trained on (evaluate and "
            "verify take the adapter itself as --adapter)"
        )
    return name


def load_processor(model: str, *, trust_remote_code: bool = False, max_pixels: int | None = None) -> "ProcessorMixin":
    """The processor of a model (tokenizer, image processor, chat template).

    Raises:
        ModelError: There is none, or it is a text-only tokenizer, or it has no padding token, or no chat template for
            images and texts.
        ConfigError: `trust_remote_code` is neither True nor False, or images are not limited by their pixels.
    """
    from transformers import AutoProcessor, ProcessorMixin

    trusted = require_trust("trust_remote_code", trust_remote_code)
    name = resolve_model(model)
    try:
        processor = AutoProcessor.from_pretrained(name, trust_remote_code=trusted)
    except Exception as error:  # a foreign folder fails in every way there is
        raise ModelError(f"model {model!r}: its processor cannot be loaded: {first_line(error)}") from error
    if not isinstance(processor, ProcessorMixin) or getattr(processor, "tokenizer", None) is None:
        raise ModelError(
            f"model {model!r}: it has a tokenizer but no image processor; byorn needs a vision-language model"
        )
    _require_usable(processor, model)
    if max_pixels is not None:
        _limit(processor, max_pixels, model)
    return processor


def _require_usable(processor: "ProcessorMixin", model: str) -> None:
    """Refuse what would only fail in the first batch, or go wrong in every row without a word."""
    if not processor.chat_template:
        raise ModelError(
            f"model {model!r}: its processor has no chat template; use an instruction-tuned checkpoint, or add one"
        )
    if prints_blocks(processor):
        raise ModelError(
            f"model {model!r}: its chat template takes plain texts, and would write lists of blocks as Python code; "
            "give it one for blocks of type image and text (chat_template.jinja)"
        )
    if processor.tokenizer.pad_token is None:
        raise ModelError(
            f"model {model!r}: its tokenizer has no padding token, without which rows cannot stand side by side; "
            "name one as pad_token in tokenizer_config.json"
        )


def _limit(processor: "ProcessorMixin", most: int, model: str) -> None:
    """Let the processor reduce images to so many pixels."""
    images = processor.image_processor
    if "max_pixels" not in getattr(images.valid_kwargs, "__annotations__", {}):
        raise ConfigError(
            f"max_pixels: the processor of {model!r} does not limit images by their pixels, but makes each of a size "
            "of its own; leave it out"
        )
    size = dict(images.size)
    images.size = type(images.size)(**{**size, "longest_edge": most, "shortest_edge": min(most, size["shortest_edge"])})


def load_spec_processor(spec: ModelSpec) -> "ProcessorMixin":
    """The processor of a `ModelSpec`, see `load_processor`."""
    return load_processor(spec.name, trust_remote_code=spec.trust_remote_code, max_pixels=spec.max_pixels)


def load_config(spec: ModelSpec) -> "PretrainedConfig":
    """The configuration of a model, without its weights.

    Raises:
        ModelError: There is none.
    """
    from transformers import AutoConfig

    name = resolve_checkpoint(spec.name)
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(name, trust_remote_code=spec.trust_remote_code)
        return config
    except Exception as error:  # a foreign folder fails in every way there is
        raise ModelError(f"model {spec.name!r} cannot be loaded: {first_line(error)}{_hint(error)}") from error


def load_model(model: str, **options: Any) -> Any:
    """The model in eval mode; `options` are the other fields of `ModelSpec`.

    Raises:
        ModelError: It cannot be loaded so, or it is no image-text-to-text model, or the device is not there.
        ConfigError: An option is wrong.
    """
    return load_spec(ModelSpec(name=model, **options))


def load_spec(spec: ModelSpec, layout: Layout | None = None) -> Any:
    """The model of a `ModelSpec` in eval mode on its device (default: the first GPU, else the CPU).

    With a layout it is loaded to the CPU, and each process keeps its part of the weights on its device.

    Raises:
        ConfigError: It cannot be sharded so.
        ModelError: It cannot be loaded so, it lacks weights, it is no image-text-to-text model, or the device is not
            there.
    """
    from transformers import AutoModelForImageTextToText
    from transformers.utils.logging import disable_progress_bar

    name = resolve_checkpoint(spec.name)
    store = _open_store(spec)
    device = spec.device or default_device()
    wanted = choose_dtype(spec, device)
    quantization = quantization_config(spec.quantize, wanted)
    if for_machines():
        disable_progress_bar()
    try:
        read: Any = AutoModelForImageTextToText.from_pretrained(
            name,
            dtype=wanted,
            device_map={"": "cpu" if layout else device},  # and not `.to` afterwards, which 8-bit weights refuse
            trust_remote_code=spec.trust_remote_code,
            attn_implementation=spec.attention,
            quantization_config=quantization,
            output_loading_info=True,
        )
    except Exception as error:  # a foreign folder fails in every way there is: broken tensors, settings of wrong types
        raise ModelError(f"model {spec.name!r} cannot be loaded: {first_line(error)}{_hint(error)}") from error
    loaded, found = read
    _require_all(spec.name, sorted(found["missing_keys"]))
    keep_differentiable(loaded)
    if layout:
        asked = "--feature-store" if store else "--feature-cache" if spec.feature_cache else ""
        kept = f"; image features are not kept, as {asked} asks" if asked else ""
        say(f"  its weights are sharded over the processes (FSDP2){kept}")
        shard(loaded, layout)
    else:
        keep_features(loaded, spec.feature_cache, store)
    return loaded.eval()


def _open_store(spec: ModelSpec) -> FeatureStore | None:
    folder = spec.feature_store
    if folder is None:
        return None
    try:
        make_folder(folder, "--feature-store")
    except ConfigError:
        if not os.path.isdir(folder) or not os.access(folder, os.R_OK | os.X_OK):
            raise
        say(f"  feature_store: {folder} cannot be written; it is read, and nothing is added")
        return FeatureStore(folder, spec.feature_store_size, read_only=True)
    return FeatureStore(folder, spec.feature_store_size)


def _require_all(model: str, missing: list[str]) -> None:
    """Refuse a checkpoint without some of the weights: transformers makes up random ones, and goes on."""
    if missing:
        raise ModelError(
            f"model {model!r}: {len(missing)} of its weights are not in the checkpoint (the first: {missing[0]}), and "
            "random ones would say nothing about the data; load the whole checkpoint, as its config.json describes it"
        )


def choose_dtype(spec: ModelSpec, device: str) -> str:
    """The number type of the weights. `auto` is the checkpoint's own on a GPU; on a CPU bfloat16 where the checkpoint
    is in half precision and the CPU computes in bfloat16, else float32.
    """
    if spec.dtype != "auto" or device != "cpu":
        return spec.dtype
    stored = str(getattr(load_config(spec), "dtype", None)).removeprefix("torch.")
    if stored not in ("bfloat16", "float16"):
        return "float32"
    native = cpu_has_bfloat16()
    why = "this CPU computes in it" if native else "this CPU has no instructions for half precision"
    say(f"  number type {'bfloat16' if native else 'float32'}: the checkpoint is in {stored}, and {why}")
    return "bfloat16" if native else "float32"


def cpu_has_bfloat16() -> bool:
    """Whether the CPU has instructions for bfloat16 (AMX or AVX512-BF16), without which it is slower than float32."""
    import torch

    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    if capabilities:
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    path = Path("/proc/cpuinfo")
    flags = path.read_text(encoding="utf-8", errors="replace").split() if path.is_file() else []
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _hint(error: Exception) -> str:
    """For model classes that transformers does not know."""
    foreign = "Unrecognized" in str(error) or "does not recognize" in str(error)
    return (
        "; a model with classes of its own needs --plugin FILE that registers them (docs/families.md)"
        if foreign
        else ""
    )


def default_device() -> str:
    """The device that this process uses: its own GPU under torchrun, else the first GPU, else the CPU."""
    import torch

    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
