"""What byorn adds to TRL's `SFTConfig`, and which of its fields have an option of their own. No torch here: the
command line reads it.
"""

from dataclasses import dataclass
from typing import Literal

from byorn.flagging.settings import FlagSettings
from byorn.settings import at_least, below, fraction, positive, setting

Replacement = Literal["ema", "drop"]
Engine = Literal["transformers", "vllm"]

LONGEST_MEMORY = 100
"""Of the moving average by default, in optimizer steps: a decay of 0.99."""


def _share(value: float) -> str | None:
    return None if 0 < value <= 1 else "is not in (0, 1]; use 1.0"


def _part(value: float) -> str | None:
    return None if 0 < value < 1 else "is not between 0 and 1; use 0.3"


def _step_count(value: int) -> str | None:
    return None if value == -1 or value > 0 else "is neither a number of steps nor -1, which leaves it to the epochs"


@dataclass(kw_only=True)
class EngineSettings:
    """What generates responses."""

    response_engine: Engine = setting(
        "transformers",
        help="what generates responses; vllm wants one GPU (not tried) or its build for CPUs (tried)",
    )
    response_engine_memory: float = setting(
        0.3,
        help="share of the device's memory that the engine vllm takes: a copy of the model, keys and values",
        check=_part,
    )


@dataclass(kw_only=True)
class ResponseSettings(EngineSettings):
    """How replacement responses are sampled."""

    response_temperature: float = setting(
        1.0,
        help="temperature of the replacement responses; 1.0 (plain sampling) is what the theory asks for",
        check=positive,
    )
    response_top_p: float = setting(
        1.0, help="nucleus of the replacement responses; 1.0 keeps all of the distribution", check=_share
    )
    max_response_tokens: int | None = setting(
        None, help="longest replacement response in tokens", check=positive, shown="learned from the trusted responses"
    )
    response_batch_size: int | None = setting(
        None,
        help="rows sampled at once; it changes speed and memory only",
        check=positive,
        shown="4, or the training batch times the block if that is larger; of a rewriting 8, or of 64 images by vllm",
    )
    keep_insertions: bool = setting(
        False,
        help="answer flagged instructions as they are, as the paper does; else without the words that were put into "
        "those of other rows",
    )


@dataclass(kw_only=True)
class ByornSettings(ResponseSettings, FlagSettings):
    """Flags, and what happens to flagged rows."""

    replacement: Replacement = setting(
        "ema", help="ema replaces flagged responses by samples of the averaged model, drop leaves flagged rows out"
    )
    ema_decay: float | None = setting(
        None,
        help="decay of the moving average, per optimizer step; its memory is 1 / (1 - decay) steps",
        check=fraction,
        shown="a memory of a tenth of the run, at most 100 steps (0.99)",
    )
    response_block: int = setting(
        1,
        help="flagged steps of an epoch whose responses are sampled together, from the average at the first of them: "
        "faster, and older; 1 is the paper's, 0 as many as memory takes when the run begins",
        check=at_least(0),
    )
    max_flagged_share: float = setting(
        0.25,
        help="share of an epoch's steps that flagged rows may take; of more of them, each epoch visits the next ones; "
        "1 visits all, as the paper does",
        check=_share,
    )
    soft_targets: bool = setting(
        False,
        help="flagged rows learn the averaged model's whole distribution at each sampled token: less noise, one more "
        "forward pass",
    )


@dataclass(frozen=True, kw_only=True)
class TrainerOptions:
    """Training.

    What is left out is as SFTConfig has it; `shown` is its default, and a test compares them.
    """

    learning_rate: float | None = setting(None, help="learning rate of the adapter", check=below(10), shown="2e-05")
    num_train_epochs: float | None = setting(None, help="passes over the data", check=positive, shown="3.0")
    max_steps: int | None = setting(None, help="optimizer steps; wins over epochs", check=_step_count, shown="-1")
    per_device_train_batch_size: int | None = setting(
        None, help="rows a forward pass on each device", check=positive, shown="8"
    )
    gradient_accumulation_steps: int | None = setting(
        None, help="forward passes an optimizer step", check=positive, shown="1"
    )
    seed: int | None = setting(None, help="seed of everything", check=below(2**32), shown="42")
