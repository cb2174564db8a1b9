"""How well scores and flags find the rows that are known to be poisoned: for experiments, where a manifest exists."""

import csv
import io
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from byorn.errors import DataError
from byorn.evaluation.intervals import Interval, wilson
from byorn.flagging.settings import FlagSettings
from byorn.flagging.table import Flags
from byorn.scoring.table import Scores
from byorn.text import first_line, shown


def read_truth(path: str | Path) -> set[tuple[str, int]]:
    """Which rows are known to be poisoned: id and turn of each, the first turn where none is named.

    Args:
        path: The folder of `byorn poison`, or the manifest in it; or a `.json` file with a list of ids or of objects
            with `id` and `turn`; or a `.csv` file with the columns `id` and, if there are several turns, `turn`; or any
            other text file with one id a line, or id and turn with a tab between.

    Raises:
        DataError: It cannot be read, or names no row.
    """
    from byorn.attacks.manifest import DETAILS, SUMMARY, poisoned_keys

    path = Path(path)
    if path.is_dir() or path.name in (DETAILS, SUMMARY):  # not all rows of a manifest are poisoned
        return poisoned_keys(path if path.is_dir() else path.parent)
    try:
        keys = _KEYS_OF.get(path.suffix.lower(), _keys_of_lines)(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, TypeError, KeyError, OverflowError, csv.Error, RecursionError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else first_line(error)
        raise DataError(f"truth: {path} is neither a folder of byorn poison nor a list of ids ({reason})") from error
    if not keys:
        raise DataError(f"truth: {path} names no row; write one id a line")
    return keys


def _keys_of_lines(text: str) -> set[tuple[str, int]]:
    pairs = [line.partition("\t") for line in text.splitlines() if line.strip()]
    return {(name.strip(), int(turn or 0)) for name, _, turn in pairs}


def _keys_of_csv(text: str) -> set[tuple[str, int]]:
    return {_key(row["id"], row.get("turn") or 0) for row in csv.DictReader(io.StringIO(text))}


def _keys_of_json(text: str) -> set[tuple[str, int]]:
    entries = json.loads(text)
    if not isinstance(entries, list):
        raise TypeError("its content is no list")
    objects = [entry if isinstance(entry, dict) else {"id": entry} for entry in entries]
    return {_key(entry["id"], entry.get("turn", 0)) for entry in objects}


def _key(name: object, turn: str | int) -> tuple[str, int]:
    if not isinstance(name, str | int) or not str(name).strip():
        raise TypeError(f"{shown(name)} is no id")
    return str(name).strip(), int(turn)


_KEYS_OF = {".csv": _keys_of_csv, ".json": _keys_of_json}


@dataclass(frozen=True)
class Detection:
    """How well scores and flags tell poisoned rows from clean ones; shares are in [0, 1].

    Attributes:
        auc: Probability that a poisoned row scores above a clean one (ties count half, unscored rows rank highest).
        recall: Flagged share of the poisoned rows.
        recall_interval: Its 95 % Wilson interval.
        false_flag_share: Flagged share of the clean rows (0.33 at p = 0.6, 10 % poison and perfect recall: by design).
        poisoned: How many rows are poisoned.
        clean: How many are not.
    """

    auc: float
    recall: float
    recall_interval: Interval
    false_flag_share: float
    poisoned: int
    clean: int


def detection(
    scores: Scores | None, flags: Flags, poisoned: Collection[tuple[str, int]], statistic: str = FlagSettings.statistic
) -> Detection:
    """AUC of the score (without scores: of the flags' weight), and recall and false flags of the rule.

    Args:
        scores: Scores of the rows, or None.
        flags: Flags of the same rows, in the same order.
        poisoned: Id and turn of each row that is known to be poisoned, see `read_truth`.
        statistic: Which of the scores.

    Raises:
        DataError: No row of the scores is poisoned, or every one is.
    """
    from sklearn.metrics import roc_auc_score

    truth, suspicion = _judged(scores, flags, poisoned, statistic)
    found = int(flags.flagged[truth].sum())
    n = int(truth.sum())
    return Detection(
        auc=float(roc_auc_score(truth, suspicion)),
        recall=found / n,
        recall_interval=wilson(found, n, 0.95),
        false_flag_share=float(flags.flagged[~truth].mean()),
        poisoned=n,
        clean=int((~truth).sum()),
    )


def roc(
    scores: Scores | None, flags: Flags, poisoned: Collection[tuple[str, int]], statistic: str = FlagSettings.statistic
) -> dict[str, list[float]]:
    """The curve behind `auc`, from (0, 0) to (1, 1): `false`, the share of the clean rows above a threshold, and
    `true`, that of the poisoned.

    Raises:
        DataError: No row of the scores is poisoned, or every one is.
    """
    from sklearn.metrics import roc_curve

    false, true, _ = roc_curve(*_judged(scores, flags, poisoned, statistic))
    return {"false": false.round(4).tolist(), "true": true.round(4).tolist()}


def poisoned_among(keys: Sequence[tuple[str, int]], poisoned: Collection[tuple[str, int]]) -> np.ndarray:
    """Which rows are poisoned, bool [rows], by id and turn of each.

    Raises:
        DataError: None is, or every one.
    """
    truth = np.array([key in poisoned for key in keys])
    if poisoned and not truth.any():
        name, turn = min(poisoned)
        raise DataError(
            f"detection: no row here is called as one of the {len(poisoned)} that are said to be poisoned, such as "
            f"{shown(name)}, turn {turn}; name rows of this data set"
        )
    if truth.all() or not truth.any():
        raise DataError(f"detection: {int(truth.sum())} of {len(truth)} rows are poisoned; both kinds are needed")
    return truth


def _judged(
    scores: Scores | None, flags: Flags, poisoned: Collection[tuple[str, int]], statistic: str
) -> tuple[np.ndarray, np.ndarray]:
    """Who is poisoned, and how suspicious each row is: bool and float64 [rows]."""
    truth = poisoned_among(flags.keys, poisoned)
    return truth, flags.weight if scores is None else np.nan_to_num(scores.values[statistic], nan=np.finfo(float).max)
