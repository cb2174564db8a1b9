"""`ByornConfig`: everything of TRL's `SFTConfig`, and what byorn adds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import get_type_hints

from transformers import TrainingArguments
from transformers.integrations import get_available_reporting_integrations
from transformers.trainer_utils import HubStrategy, SaveStrategy
from transformers.utils import is_liger_kernel_available
from trl import SFTConfig

from byorn.errors import ConfigError
from byorn.flagging.settings import check_rule
from byorn.models.spec import require_trust
from byorn.settings import check_settings, check_value, unknown
from byorn.training.engine.checks import require_engine
from byorn.training.limits import LIMITS, require_switches
from byorn.training.settings import ByornSettings
from byorn.training.trial import require_startable

LOSSES = ("nll", "dft")
"""What TRL knows; it says so only when the trainer is made."""


@dataclass
class ByornConfig(ByornSettings, SFTConfig):
    """Configuration of a `ByornTrainer`; any `SFTConfig` argument keeps its meaning.

    `max_length` is None here: SFTConfig's 1024 cuts long responses away without a word.

    Raises:
        ConfigError: A value is out of range; the message names the fix.
    """

    max_length: int | None = field(
        default=None,
        metadata={"help": "Longest sequence in tokens; None cuts nothing. Cutting may remove a whole response."},
    )

    def __post_init__(self) -> None:
        self._use_new_names()
        self._require_switches()
        self._require_choices()
        super().__post_init__()
        self._require_switches()  # JSON texts are mappings now
        check_settings(self)
        check_rule(self)
        _require(
            not self.soft_targets or (self.response_temperature, self.response_top_p) == (1, 1),
            "soft_targets: it wants plain samples; use response_temperature=1.0 and response_top_p=1.0",
        )
        _require(
            not self.soft_targets or (self.loss_type == "nll" and not self.label_smoothing_factor),
            "soft_targets: its loss is the plain one; leave loss_type and label_smoothing_factor out",
        )
        for name in ("packing", "padding_free"):
            _require(not getattr(self, name), f"{name}: not possible where rows have images; leave it out")
        _require(
            self.completion_only_loss is not False,
            "completion_only_loss: false would teach prompts too, and flagged responses of earlier turns with them; "
            "leave it out",
        )
        _require(self.pad_to_multiple_of is None, "pad_to_multiple_of: TRL cannot do it for these rows; leave it out")
        _require(
            not self.use_liger_kernel or is_liger_kernel_available(),
            "use_liger_kernel: liger-kernel is not installed; install it, or leave it out",
        )
        _require(
            not self.activation_offloading or self.device.type != "cpu",
            "activation_offloading: it takes activations off a GPU, and none is used; leave it out",
        )
        _require(self.loss_type in LOSSES, f"loss_type: {self.loss_type!r} is unknown; use one of {', '.join(LOSSES)}")
        _require(
            self.save_strategy != SaveStrategy.BEST or self.metric_for_best_model is not None,
            "save_strategy: best needs metric_for_best_model, such as eval_loss",
        )
        _require(
            not getattr(self.accelerator_config, "dispatch_batches", None),
            "accelerator_config: dispatch_batches cannot hand on rows that have no response yet; leave it out",
        )
        require_startable(self)
        require_engine(self)
        _require_trackers(self.report_to)
        if self.push_to_hub:
            self.hub_strategy = HubStrategy.END  # the others upload checkpoints

    def _require_switches(self) -> None:
        require_trust("trust_remote_code", self.trust_remote_code)
        if isinstance(self.model_init_kwargs, dict) and "trust_remote_code" in self.model_init_kwargs:
            require_trust("model_init_kwargs: trust_remote_code", self.model_init_kwargs["trust_remote_code"])
        kinds = get_type_hints(type(self))
        require_switches({item.name: getattr(self, item.name, None) for item in fields(self)}, kinds)

    def _require_choices(self) -> None:
        """Refuse words that are none of SFTConfig's own choices: it takes them, and some mean nothing then."""
        for item in fields(self):
            known, value = item.metadata.get("choices"), getattr(self, item.name, None)
            _require(
                not known or value in (None, *known),
                f"{item.name}: {value!r} is unknown; use one of {', '.join(known or ())}",
            )

    def _use_new_names(self) -> None:
        """Take over deprecated names, as transformers does; TRL's own default is one, and would warn in every run."""
        for name in ("checkpointing", "checkpointing_kwargs"):
            if getattr(self, f"activation_{name}", self) is None:  # older versions do not have it
                setattr(self, f"activation_{name}", getattr(self, f"gradient_{name}"))


def check_arguments(arguments: Mapping[str, object]) -> None:
    """Check names, types and ranges of what would become a `ByornConfig`; SFTConfig itself takes the text "false" for
    true, and most numbers as they come.

    Raises:
        ConfigError: A field is unknown, or its value is of another type or out of range.
    """
    kinds = {**get_type_hints(ByornConfig), "fsdp": bool | str | None}  # transformers' own hint leaves true out
    known = set(ByornConfig.__dataclass_fields__)
    for name, value in arguments.items():
        if name not in known:
            raise ConfigError(unknown("training argument", name, known))
        if value is not None:
            check_value(name, value, kinds[name], LIMITS.get(name))
    require_switches(arguments, kinds)


def output_folder(args: TrainingArguments) -> Path:
    """`output_dir` as a path; transformers has a default where it is None."""
    return Path(args.output_dir or "trainer_output")


def _require_trackers(names: str | Sequence[str] | None) -> None:
    known = get_available_reporting_integrations()
    for name in [names] if isinstance(names, str) else names or []:
        _require(
            name in known, f"report_to: {name!r} is not installed; install it, or use {' or '.join(['none', *known])}"
        )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)
