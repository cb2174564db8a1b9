"""Scores and reviews of an earlier scan, for a run in another folder: nothing that a person decided is lost in
silence.
"""

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

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
from byorn.scoring.table import SCORES, read_scores, write_scores
from byorn.text import clip

NONE = "none"
ORIGIN = "origin"
"""In the metadata of scores that were copied: where from, as a relative path."""
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
        for name in (LOG, FLAGS):
            if (folder / name).is_file():
                with atomic_path(out / name) as partial:
                    shutil.copyfile(folder / name, partial)
        _copy_scores(folder, out)  # last: the others wait for it
    waited = 0.0
    while not (out / SCORES).exists():
        if waited > PATIENCE:
            raise ByornError(f"--scan: {out / SCORES} does not appear; run the same command again")
        time.sleep(POLL)
        waited += POLL


def taken_from(out: Path, scan: str | None) -> Path | None:
    """The scan whose scores a run in `out` took over: the one that is named, else the one that its scores name.

    None where there is none, or it has no flags.
    """
    folder = Path(scan) if scan else _origin(out)
    return folder if scan != NONE and folder and (folder / FLAGS).is_file() else None


def _origin(out: Path) -> Path | None:
    """What the scores of a run in `out` name as the folder that they were copied from, if it is of their data still."""
    own = _metadata(out / SCORES)
    if ORIGIN not in own:
        return None
    folder = (out / os.fsdecode(unquote_to_bytes(own[ORIGIN]))).resolve()
    return folder if _metadata(folder / SCORES).get("data") == own.get("data") else None


def _copy_scores(folder: Path, out: Path) -> None:
    """The scores of a scan, with the place where decisions about them are made: it is asked for later ones."""
    scores = read_scores(folder / SCORES)
    scanned = taken_from(folder, None) or folder  # of a training that has taken them over itself
    origin = quote(os.fsencode(os.path.relpath(scanned.resolve(), out.resolve())))
    write_scores(out / SCORES, replace(scores, metadata={**scores.metadata, ORIGIN: origin}))


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


def _words(path: Path) -> dict[tuple[str, int], str]:
    flags = read_flags(path)
    return dict(zip(flags.keys, flags.review_words, strict=True))


def _beside(inputs: Inputs, out: Path) -> Path | None:
    """A folder beside `out` with scores of the same data and model: one with decisions first, then the one that changed
    last. A training has a copy of what people had decided in its scan by then.
    """
    found = [path.parent for path in out.resolve().parent.glob(f"*/{SCORES}") if _fits(path, inputs)]
    return max(found, key=lambda folder: (_decisions(folder / FLAGS) > 0, _changed(folder)), default=None)


def _changed(folder: Path) -> float:
    """When its scores or decisions changed last."""
    return max((folder / name).stat().st_mtime for name in (SCORES, FLAGS) if (folder / name).is_file())


def _fits(path: Path, inputs: Inputs) -> bool:
    held = _metadata(path)
    if any(held.get(name) != value for name, value in inputs.identity.items() if name in IDENTITY):
        return False
    try:
        read_scores(path)
    except DataError as error:
        say(f"  left out: {error}")
        return False
    return True


def _metadata(path: Path) -> dict[str, str]:
    """What a table says of itself; nothing where it is none of ours."""
    try:
        held = pq.read_schema(path).metadata or {}
        return {name.decode(): value.decode() for name, value in held.items()}
    except (OSError, ValueError, pa.ArrowException):
        return {}


def _decisions(path: Path) -> int:
    """How many rows a person has decided about."""
    return sum(word != "auto" for word in read_flags(path).review_words) if path.is_file() else 0
