"""Scores and reviews of an earlier scan, for a run in another folder: nothing that a person decided is lost in
silence.
"""

import filecmp
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from byorn.errors import ByornError, ConfigError, DataError
from byorn.flagging.reports import remove_reports
from byorn.flagging.table import FLAGS, read_flags
from byorn.models.inputs import Inputs
from byorn.models.spec import ModelSpec
from byorn.review.log import LOG, read_log
from byorn.runs.atomic import atomic_path
from byorn.runs.folder import read_config
from byorn.runs.identity import IDENTITY, require_same
from byorn.runs.narrate import say
from byorn.runs.ranks import is_main
from byorn.runs.stage import POLL
from byorn.scoring.table import SCORES, read_scores
from byorn.text import clip

NONE = "none"
PATIENCE = 60.0  # seconds that a copy may take


def require_scan(scan: str | None) -> None:
    """Refuse a folder without scores, before anything is loaded.

    Raises:
        ConfigError: There is no scan in the folder.
    """
    if scan and scan != NONE and not (Path(scan) / SCORES).is_file():
        raise ConfigError(f"--scan {scan}: it holds no {SCORES}; give the folder of a byorn scan, or none")


def with_its_store(model: ModelSpec, scan: str | None, begun: Path | None = None) -> ModelSpec:
    """The settings of the model, with the feature store of the scan, and the size that it may have, where they name
    none and it is still there; a run that has begun in the folder `begun` keeps the one that it has, or none.
    """
    if model.feature_store is not None or not scan or scan == NONE:
        return model
    held = (read_config(begun or Path(scan)) or {}).get("model")
    if not isinstance(held, Mapping):
        return model
    store = held.get("feature_store")
    if not isinstance(store, str) or not (begun or os.path.isdir(store)):
        return model
    say(f"using the image features that the scan left in {clip(store, 400)}")
    own, usual = model.feature_store_size, ModelSpec.feature_store_size
    size = held.get("feature_store_size", usual) if own == usual else own
    return replace(model, feature_store=Path(store), feature_store_size=size)


def find_scan(inputs: Inputs, out: Path, scan: str | None) -> Path | None:
    """The folder of the earlier scan that a run in `out` starts from, which is said.

    None where there is none, or where `out` has scores already.

    Args:
        inputs: What is scored, and by what.
        out: The run folder.
        scan: Folder of the scan, which must be of the same data and model; None looks for one beside `out`; `none`
            takes none.

    Raises:
        ConfigError: There is no scan in the folder.
        MismatchError: It is of other data or another model.
    """
    if scan == NONE or (out / SCORES).exists():
        if later := later_decisions(out, scan):
            where = taken_from(out, scan)
            say(f"  warning: {later} decision(s) of {where} were made since, and do not count here; use another --out")
        return None
    require_scan(scan)
    folder = Path(scan) if scan else _beside(inputs, out)
    if folder is None or folder.resolve() == out.resolve():
        return None
    found = read_scores(folder / SCORES).metadata
    require_same(found, inputs.identity, f"--scan: {folder / SCORES}", "scan this data with this model, or give none")
    hint = "" if scan else "; --scan none scores anew"
    decisions = _decisions(folder / FLAGS)
    say(f"using the scores of {folder}, of the same data and model, and {decisions} decision(s) made there{hint}")
    return folder


def adopt_scan(inputs: Inputs, out: Path, scan: str | None) -> None:
    """Copy the scores, the decisions and the log of decisions of an earlier scan into `out`, if `find_scan` finds one.

    The other processes wait for the first.

    Raises:
        ByornError: As `find_scan`; or the first process has copied nothing for `PATIENCE` seconds.
    """
    folder = find_scan(inputs, out, scan)
    if folder is None:
        return
    if is_main():
        remove_reports(out)
        for name in (LOG, FLAGS, SCORES):  # the scores last, which the others wait for
            if (folder / name).is_file():
                with atomic_path(out / name) as partial:
                    shutil.copyfile(folder / name, partial)
    waited = 0.0
    while not (out / SCORES).exists():
        if waited > PATIENCE:
            raise ByornError(f"--scan: {out / SCORES} does not appear; run the same command again")
        time.sleep(POLL)
        waited += POLL


def taken_from(out: Path, scan: str | None) -> Path | None:
    """The scan whose scores a run in `out` took over: the one that is named, else one beside `out` with the same file.

    None where there is none, or it has no flags.
    """
    named = [Path(scan)] if scan and scan != NONE else []
    beside = [] if scan or not (out / SCORES).is_file() else sorted(out.resolve().parent.glob(f"*/{SCORES}"))
    found = [*named, *(path.parent for path in beside if _is_scan(path.parent) and _same(path, out / SCORES))]
    return next((folder for folder in found if (folder / FLAGS).is_file()), None)


def later_decisions(out: Path, scan: str | None) -> int:
    """How many decisions of an earlier scan are not those of a run in `out` that took over its scores: they were made,
    or taken back, since.
    """
    folder = taken_from(out, scan)
    if folder is None or not all((out / name).is_file() for name in (SCORES, FLAGS)):
        return 0
    own = _words(out / FLAGS)  # without rows that were held out
    back = {one.key for one in set(read_log(folder / LOG)) - set(read_log(out / LOG)) if one.review == "auto"}
    words = _words(folder / FLAGS).items()
    return sum(word != own.get(key, word) for key, word in words if word != "auto" or key in back)


def _is_scan(folder: Path) -> bool:
    return (read_config(folder) or {}).get("command") == "scan"


def _same(one: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False  # whatever lies there, it is not what was copied


def _words(path: Path) -> dict[tuple[str, int], str]:
    flags = read_flags(path)
    return dict(zip(flags.keys, flags.review_words, strict=True))


def _beside(inputs: Inputs, out: Path) -> Path | None:
    """A folder beside `out` with scores of the same data and model: one with decisions first, then the newest."""
    found = [path.parent for path in out.resolve().parent.glob(f"*/{SCORES}") if _fits(path, inputs)]
    return max(
        found,
        key=lambda folder: (_decisions(folder / FLAGS) > 0, (folder / SCORES).stat().st_mtime),
        default=None,
    )


def _fits(path: Path, inputs: Inputs) -> bool:
    try:
        held = pq.read_schema(path).metadata or {}
        wanted = {name: value for name, value in inputs.identity.items() if name in IDENTITY}
        if any(held.get(name.encode()) != value.encode() for name, value in wanted.items()):
            return False
        read_scores(path)
    except DataError as error:
        say(f"  left out: {error}")
        return False
    except (OSError, ValueError, pa.ArrowException):
        return False  # whatever lies there, it is none of ours
    return True


def _decisions(path: Path) -> int:
    """How many rows a person has decided about."""
    return sum(word != "auto" for word in read_flags(path).review_words) if path.is_file() else 0
