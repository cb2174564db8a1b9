"""A finished scan, for the commands that go on from it: its data and model as its `config.yaml` has them, its rows read
again, its scores and flags; refused where they do not belong together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byorn.data.load import LoadedRows
from byorn.data.row import Row
from byorn.data.spec import DataSpec
from byorn.data.stored import keys_of
from byorn.errors import ConfigError, DataError, MismatchError
from byorn.flagging.rules import column_of, settings_of_rule
from byorn.flagging.settings import FlagSettings
from byorn.flagging.table import FLAGS, Flags, read_flags
from byorn.models.inputs import REJECTS, tell_rows
from byorn.models.spec import ModelSpec
from byorn.pipeline.recorded import recorded_rows
from byorn.report.run import Run, data_of
from byorn.runs.folder import read_config
from byorn.runs.identity import require_same
from byorn.runs.narrate import say
from byorn.scoring.table import SCORES, Scores, read_scores
from byorn.settings import settings_of


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """A scan and its rows, in the same order.

    Attributes:
        folder: The run folder of the scan, or of a training that scanned.
        loaded: The rows, and where they were read from.
        scores, flags: What the scan found, and what people decided since.
        processor: Of the model; None where it was not needed (`open_recorded`).
    """

    folder: Path
    loaded: LoadedRows
    scores: Scores
    flags: Flags
    processor: Any

    @property
    def rows(self) -> Sequence[Row]:
        return self.loaded.rows

    @property
    def statistic(self) -> str:
        """The score that the flags are about."""
        return column_of(self.flags.rule, self.scores)

    @property
    def settings(self) -> FlagSettings:
        """The rule that the flags were made by.

        Raises:
            ConfigError: It is none of scores.
        """
        try:
            return settings_of_rule(self.flags.rule)
        except ConfigError as error:
            raise ConfigError(f"{self.folder}: its {error}") from None


def values_of_run(folder: Path) -> dict[str, object]:
    """The settings of data and model that a run was started with, by option name.

    Raises:
        ConfigError: The folder holds no scan, or its `config.yaml` cannot be read.
    """
    if not (folder / SCORES).is_file() or not (folder / FLAGS).is_file():
        raise ConfigError(f"{folder}: it holds no {SCORES} and {FLAGS}; give the folder of a byorn scan")
    config = read_config(folder)
    values: dict[str, object] = {}
    for name, kind in (("data", DataSpec), ("model", ModelSpec)):
        held = (config or {}).get(name)
        if not isinstance(held, Mapping):
            raise ConfigError(f"{folder / 'config.yaml'}: it does not say the {name} of the scan; scan again")
        known = {item.name: (option, item.name) for option, item, _ in settings_of(kind)}
        values |= {known[key][0]: value for key, value in held.items() if key in known and value is not None}
    for name in ("image_root", "feature_store"):
        if isinstance(folder_given := values.get(name), str):
            values[name] = Path(folder_given)
    return values


def open_scanned(folder: Path, data: DataSpec, model: ModelSpec, out: Path, *, said: bool = False) -> Scanned:
    """Read the rows of a scan again; what cannot be used is listed in `out/rejects.jsonl`. The model is not loaded.
    `said` is whether somebody has been told.

    Raises:
        MismatchError: Data or processor are not those that were scanned, or scores and flags are of different rows.
        ByornError: Something cannot be read.
    """
    from byorn.models.digest import processor_digest
    from byorn.models.inputs import open_rows

    scores = read_scores(folder / SCORES)
    flags = read_flags(folder / FLAGS)
    with data_of(folder):
        opened = open_rows(data, model, out, said=said)
    found = {"data": opened.loaded.fingerprint, "processor_digest": processor_digest(opened.processor)}
    require_scanned(scores, found, folder)
    keys = keys_of(opened.loaded.rows)
    if scores.keys != keys or flags.keys != keys:
        raise MismatchError(f"{folder}: its scores and flags are about other rows than its data; scan again")
    return Scanned(folder=folder, loaded=opened.loaded, scores=scores, flags=flags, processor=opened.processor)


def open_recorded(folder: Path, data: DataSpec, model: ModelSpec, out: Path) -> Scanned:
    """The same for who needs no processor: it is loaded only where the folder does not account for every record, and
    None otherwise.
    """
    scores = read_scores(folder / SCORES)
    flags = read_flags(folder / FLAGS)
    say(f"reading {data.source}")
    loaded = recorded_rows(folder, data, scores) if flags.keys == scores.keys else None
    if loaded is None:
        return open_scanned(folder, data, model, out, said=True)
    tell_rows(loaded, out / REJECTS, strict=data.strict)
    return Scanned(folder=folder, loaded=loaded, scores=scores, flags=flags, processor=None)


def as_run(scanned: Scanned) -> Run:
    """The scan as a report looks for groups in it; what a report only quotes is left out."""
    return Run(
        folder=scanned.folder,
        rows=scanned.rows,
        scores=scanned.scores,
        flags=scanned.flags,
        statistic=scanned.statistic,
        rejects=[],
        config={},
        environment={},
    )


def require_scanned(scores: Scores, found: dict[str, str], folder: Path) -> None:
    """Refuse data or a model that the scores are not about.

    Raises:
        MismatchError: Naming what differs.
    """
    fix = "scan again, or give what was scanned (--data, --model)"
    require_same(scores.metadata, found, folder / SCORES, fix)


def require_files(loaded: LoadedRows) -> None:
    """Refuse rows whose records cannot be written again.

    Raises:
        DataError: Two entries read one file.
    """
    files = [file.path.resolve() for part in loaded.parts for file in part.source.files]
    if len(set(files)) < len(files):
        raise DataError("two entries of dataset_info.json read the same file; scan them one at a time (--name)")
