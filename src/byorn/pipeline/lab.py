"""Where `byorn simulate` plants attacks: a finished scan, and rows with one attack in them, as a scan reads them."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from byorn.attacks.known import KnownAttack
from byorn.attacks.manifest import Manifest, read_manifest
from byorn.attacks.plant import plant
from byorn.data.load import load_rows
from byorn.data.row import Row
from byorn.data.spec import DataSpec
from byorn.errors import DataError
from byorn.flagging.settings import FlagSettings
from byorn.models.digest import model_digest
from byorn.models.inputs import fitting
from byorn.models.length import context_length
from byorn.models.load import load_config, load_spec
from byorn.models.spec import ModelSpec
from byorn.models.template import special_tokens
from byorn.pipeline.scanned import Scanned, require_scanned
from byorn.runs.folder import read_config
from byorn.runs.narrate import say


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A finished scan, and the model for what has no score yet; `places` are the numbers of its rows by key."""

    scanned: Scanned
    rule: FlagSettings
    data: DataSpec
    model: ModelSpec
    out: Path
    places: dict[tuple[str, int], int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", {row.key: place for place, row in enumerate(self.scanned.rows)})

    @cached_property
    def loaded(self) -> Any:
        """The pretrained model.

        Raises:
            MismatchError: It is not that of the scan.
        """
        say(f"loading {self.model.name}")
        model = load_spec(self.model)
        require_scanned(self.scanned.scores, {"model_digest": model_digest(model)}, self.scanned.folder)
        return model

    @property
    def batch_size(self) -> int:
        """Rows a forward pass, as in the scan."""
        flagging = (read_config(self.scanned.folder) or {}).get("flagging")
        size = flagging.get("score_batch_size") if isinstance(flagging, Mapping) else None
        return size if isinstance(size, int) and size > 0 else FlagSettings.score_batch_size


@dataclass(frozen=True, kw_only=True)
class Planted:
    """One attack in a copy of the rows.

    Attributes:
        attack: What it is.
        folder: Where it lies, with what is made of it.
        manifest: Which rows are poisoned.
        rows: Those that were written, without what the model cannot take.
    """

    attack: KnownAttack
    folder: Path
    manifest: Manifest
    rows: list[Row]

    @property
    def poisoned(self) -> list[Row]:
        keys = self.manifest.keys
        return [row for row in self.rows if row.key in keys]


def planted(lab: Lab, attack: KnownAttack) -> Planted:
    """The planted rows, which are written unless they were before.

    Raises:
        ByornError: The attack cannot be planted in these rows, or the model can take none that are poisoned.
    """
    folder = lab.out / attack.folder
    manifest = _manifest(lab, attack, folder)
    return Planted(attack=attack, folder=folder, manifest=manifest, rows=_readable(lab, folder / "data", manifest))


def _manifest(lab: Lab, attack: KnownAttack, folder: Path) -> Manifest:
    if (folder / "data/manifest.json").exists():
        return read_manifest(folder / "data")
    shutil.rmtree(folder, ignore_errors=True)  # what a kill has left
    surrogate = {"model": lab.loaded, "processor": lab.scanned.processor} if attack.recipe.needs_model else {}
    return plant(lab.scanned.rows, attack.recipe, folder / "data", **surrogate)


def _readable(lab: Lab, folder: Path, manifest: Manifest) -> list[Row]:
    """The planted rows as a scan reads them.

    Raises:
        DataError: The model can take none of those that are poisoned.
    """
    processor = lab.scanned.processor
    read = load_rows(folder, special_tokens=special_tokens(processor), notify=lambda line: None)
    loaded = fitting(read, processor, lab.data.max_length or context_length(load_config(lab.model)))
    poisoned = manifest.keys
    if poisoned.isdisjoint(row.key for row in loaded.rows):
        first = next(iter(loaded.rejects), "")
        raise DataError(f"the model can take none of its {len(poisoned)} rows, first: {first}")
    return list(loaded.rows)
