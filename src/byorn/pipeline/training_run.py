"""A training that can begin: its settings were checked, its rows are read, its model is loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byorn.data.spec import DataSpec
from byorn.models.inputs import Inputs
from byorn.pipeline.build import require_engine_fits, require_layers
from byorn.pipeline.held_out import split
from byorn.pipeline.settings.train import TrainSpec
from byorn.runs.folder import write_config

if TYPE_CHECKING:
    from datasets import Dataset

    from byorn.training.config import ByornConfig


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """What the steps of a training share.

    Attributes:
        out: The run folder.
        settings: What its `config.yaml` says.
        spec, config: How to train; a defense may add to the config.
        whole: All rows, which a scan scores.
        inputs: Those that are learned.
        held_out: Those that the loss is evaluated on.
    """

    out: Path
    settings: dict[str, Any]
    spec: TrainSpec
    config: "ByornConfig"
    whole: Inputs
    inputs: Inputs
    held_out: "Dataset | None"

    @classmethod
    def of(
        cls, whole: Inputs, data: DataSpec, out: Path, settings: dict[str, Any], spec: TrainSpec, config: "ByornConfig"
    ) -> "TrainingRun":
        """With the evaluation rows apart.

        Raises:
            ConfigError: The model has no such layers, the engine does not take it, or no row would be left.
        """
        inputs, held_out = split(whole, data, spec, config.seed, out)
        require_layers(inputs.model, spec.lora.targets)
        require_engine_fits(inputs.model, config, spec.lora)
        return cls(
            out=out, settings=settings, spec=spec, config=config, whole=whole, inputs=inputs, held_out=held_out
        )  # fmt: skip

    @property
    def checkpoints(self) -> Path:
        return self.out / "checkpoints"


def keep_settings(out: Path, settings: dict[str, Any], config: "ByornConfig") -> None:
    """Write `config.yaml`, with every training argument as it was resolved."""
    write_config(out, {**settings, "resolved": config.to_dict()})
