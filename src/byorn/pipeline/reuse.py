"""Scores and reviews of an earlier scan, for a run in another folder: nothing that a person decided is lost in silence."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from byorn.errors import ConfigError, MismatchError
from byorn.flagging.table import read_flags
from byorn.models.inputs import Inputs
from byorn.runs.identity import IDENTITY, require_same
from byorn.runs.narrate import say
from byorn.runs.ranks import is_main
from byorn.scoring.table import read_scores

NONE = "none"
FILES = ("scores.parquet", "flags.parquet")


def adopt_scan(inputs: Inputs, out: Path, scan: str | None) -> None:
    """Copy the scores and decisions of an earlier scan into `out`, unless scores are there already.

    Args:
        inputs: What is scored, and by what.
        out: The run folder.
        scan: Folder of the scan, which must be of the same data and model; None looks for one beside `out`; `none` takes none.

    Raises:
        ConfigError: There is no scan in the folder.
        MismatchError: It is of other data or another model.
    """
    if scan == NONE or (out / FILES[0]).exists():
        return
    folder = Path(scan) if scan else _beside(inputs, out)
    if folder is None or folder.resolve() == out.resolve():
        return
    path = folder / FILES[0]
    if not path.is_file():
        raise ConfigError(f"--scan {folder}: it holds no scores.parquet; give the folder of a byorn scan, or none")
    try:
        require_same(read_scores(path).metadata, inputs.identity, path)
    except MismatchError as error:
        raise MismatchError(
            f"--scan: {str(error).partition(';')[0]}; scan this data with this model, or give none"
        ) from None
    flags = folder / FILES[1]
    reviewed = _reviewed(flags)
    hint = "" if scan else "; --scan none scores anew"
    say(f"using the scores of {folder}, of the same data and model, and {reviewed} decision(s) made there{hint}")
    if is_main():
        for name in FILES:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, out / name)


def _beside(inputs: Inputs, out: Path) -> Path | None:
    """A folder beside `out` with scores of the same data and model: one with decisions first, then the newest."""
    found = [path.parent for path in out.resolve().parent.glob(f"*/{FILES[0]}") if _fits(path, inputs)]
    ordered = sorted(found, key=lambda folder: (_reviewed(folder / FILES[1]) > 0, (folder / FILES[0]).stat().st_mtime))
    return ordered[-1] if ordered else None


def _fits(path: Path, inputs: Inputs) -> bool:
    try:
        held = pq.read_schema(path).metadata or {}
    except (OSError, ValueError, pa.ArrowException):
        return False  # whatever lies there, it is none of ours
    wanted = {name: value for name, value in inputs.identity.items() if name in IDENTITY}
    return all(held.get(name.encode()) == value.encode() for name, value in wanted.items())


def _reviewed(path: Path) -> int:
    """How many rows a person has decided about."""
    return int(np.sum([word != "auto" for word in read_flags(path).review or []])) if path.is_file() else 0
