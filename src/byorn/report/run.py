"""A scan with its rows: what every part of a report is computed from."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from byorn.data.fingerprint import fingerprint
from byorn.data.load import LoadedRows, load_rows
from byorn.data.rejects import Reject
from byorn.data.row import Row
from byorn.data.spec import DataSpec
from byorn.data.stored import keys_of, stored
from byorn.errors import DataError, MismatchError
from byorn.flagging.rules import column_of
from byorn.flagging.table import FLAGS, Flags, read_flags
from byorn.patterns.thumbnails import Thumbnails
from byorn.report.closer import CLOSER, Closer, Key, read_closer
from byorn.runs.folder import read_config, read_json
from byorn.runs.narrate import say
from byorn.scoring.table import SCORES, Scores, read_scores
from byorn.settings import settings_of
from byorn.text import shown


@dataclass(frozen=True, kw_only=True)
class Run:
    """A scan in memory; rows, scores and flags are in the same order.

    Attributes:
        folder: The run folder.
        rows: The rows that were scored; their images are opened by whoever shows them.
        scores, flags: Of these rows.
        statistic: The column of the scores that flags were made by.
        rejects: Records that could not be used.
        config, environment: What stands in `config.yaml` and `environment.json`.
        closer: A closer look at a few rows, by id and turn.
        earlier: How many answers were not scored, as a later one of their conversation is the response.
    """

    folder: Path
    rows: Sequence[Row]
    scores: Scores
    flags: Flags
    statistic: str
    rejects: Sequence[Reject]
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    closer: Mapping[Key, Closer] = field(default_factory=dict)
    earlier: int = 0

    @cached_property
    def thumbnails(self) -> Thumbnails:
        """The images of the rows, small; each is decoded once, when somebody first looks at it."""
        return Thumbnails(self.rows)

    @property
    def suspicion(self) -> np.ndarray:
        """float64 [n]: the score that flags were made by; a row without one stands above all others."""
        values = self.scores.values[self.statistic]
        return np.where(np.isnan(values), np.inf, values)


def read_run(folder: Path, data: str | None = None) -> Run:
    """Read a run folder and the data set that it is about.

    Args:
        folder: Of `byorn scan` or `byorn train`.
        data: Where the data set is now; left out, where the run found it.

    Raises:
        DataError: A file is missing or damaged.
        MismatchError: The data set is not the one that was scanned.
    """
    scores, flags, config = read_files(folder)
    loaded = read_again(folder, spec := _data_spec(config, data))
    run = Run(
        folder=folder,
        rows=_rows(folder, spec, loaded, scores),
        scores=scores,
        flags=flags,
        statistic=column_of(flags.rule, scores),
        rejects=read_rejects(folder / "rejects.jsonl"),
        config=config,
        environment=read_json(folder / "environment.json") or {},
        earlier=loaded.earlier,
    )
    return replace(run, closer=read_closer(folder / CLOSER, made_from(run)))


def made_from(run: Run) -> dict[str, str]:
    """What a closer look belongs to."""
    return {name: run.scores.metadata.get(name, "") for name in ("data", "model_digest", "processor_digest")}


def read_files(folder: Path) -> tuple[Scores, Flags, dict[str, Any]]:
    """Scores, flags and settings of a scan, without its data set.

    Raises:
        DataError: A file is missing or damaged.
        MismatchError: Scores and flags are about different rows.
    """
    scores, flags = read_scores(folder / SCORES), read_flags(folder / FLAGS)
    if flags.keys != scores.keys:
        raise MismatchError(f"{folder}: scores.parquet and flags.parquet are about different rows; scan again")
    return scores, flags, settings_in(folder)


def settings_in(folder: Path) -> dict[str, Any]:
    """What the `config.yaml` of a scan says.

    Raises:
        DataError: It is missing or damaged, or no scan's.
    """
    content = read_config(folder) or {}
    if not isinstance(content.get("data"), dict):
        path = folder / "config.yaml"
        raise DataError(f"{path}: it does not say which data was scanned; run `byorn scan` with this folder as --out")
    return content


def _data_spec(config: Mapping[str, Any], data: str | None) -> DataSpec:
    """How the scan read its data, from `config.yaml`, where paths are text."""
    known = {item.name for _, item, _ in settings_of(DataSpec)}
    values = {key: value for key, value in config["data"].items() if key in known and value is not None}
    if data is not None:
        values["source"] = data
    if "image_root" in values:
        values["image_root"] = Path(values["image_root"])
    return DataSpec(**values)


@contextmanager
def data_of(folder: Path) -> Iterator[None]:
    """Where the data of a run are not found: its paths are those of the folder that the scan was started in."""
    try:
        yield
    except DataError as error:
        path, missing, _ = str(error).partition(": no such file or folder")
        if not missing:
            raise
        fix = "start byorn where the scan was started, or name the data with --data"
        raise DataError(f"{folder}: its data {path}{missing}; {fix}") from None


def read_again(folder: Path, spec: DataSpec) -> LoadedRows:
    """The data of a run, read without its model: special tokens are those that its `environment.json` lists. Images are
    not opened.

    Raises:
        DataError: They cannot be read.
    """
    tokens = (read_json(folder / "environment.json") or {}).get("special_tokens")
    special = [str(token) for token in tokens] if isinstance(tokens, list) else []
    with data_of(folder):
        return load_rows(spec, special_tokens=special, verify_images="none", notify=say)


def _rows(folder: Path, spec: DataSpec, loaded: LoadedRows, scores: Scores) -> Sequence[Row]:
    """The rows of the scores, in their order."""
    places = {key: place for place, key in enumerate(keys_of(loaded.rows))}
    missing = [key for key in scores.keys if key not in places]
    fix = "name the data that was scanned with --data, or scan again"
    if missing:
        raise MismatchError(f"{folder}: row {shown(missing[0][0])} is not in {spec.source} any more; {fix}")
    order = [places[key] for key in scores.keys]
    same = order == list(range(len(loaded.rows)))
    rows = loaded.rows if same else stored(loaded.rows[place] for place in order)
    now = loaded.fingerprint if same else fingerprint(rows)
    wanted = scores.metadata.get("data")
    if wanted and now != wanted:
        raise MismatchError(f"{folder}: {spec.source} has changed since it was scanned; {fix}")
    return rows


def read_rejects(path: Path) -> list[Reject]:
    """The records that could not be used; none where there is no list, and no line that is damaged."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    return [reject for line in lines if (reject := _reject(line)) is not None]


def _reject(line: str) -> Reject | None:
    names = [item.name for item in fields(Reject)]
    try:
        content = json.loads(line)
        return Reject(**{name: content[name] for name in names})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
