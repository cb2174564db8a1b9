"""How well scores and flags find the rows that are known to be poisoned: for experiments, where a manifest exists."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from byorn.errors import DataError
from byorn.evaluation.intervals import wilson
from byorn.flagging.table import Flags
from byorn.scoring.table import Scores
from byorn.text import first_line


def read_truth(path: Path) -> set[tuple[str, int]]:
    """Who is known to be poisoned: keys of rows, from the folder of `byorn poison` or from a file with one id a line, or id and turn with a tab between.

    Raises:
        DataError: It cannot be read, or names nobody.
    """
    if path.is_dir():
        from byorn.attacks.manifest import poisoned_keys

        return poisoned_keys(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        pairs = [line.rstrip("\n").partition("\t") for line in lines if line.strip()]
        keys = {(name.strip(), int(turn or 0)) for name, _, turn in pairs}
    except (OSError, ValueError) as error:
        raise DataError(
            f"truth: {path} is neither a folder of byorn poison nor a list of ids ({first_line(error)})"
        ) from error
    if not keys:
        raise DataError(f"truth: {path} names no row; write one id a line")
    return keys


def detection(scores: Scores | None, flags: Flags, poisoned: Collection[tuple[str, int]]) -> dict[str, Any]:
    """AUC of the score (without scores: of the flags' weight), and recall and false flags of the rule, all in [0, 1].

    Returns:
        `auc`: probability that a poisoned row scores above a clean one (ties count half, unscored rows rank highest).
        `recall`: flagged share of the poisoned rows, with its 95 % Wilson interval in `recall_interval`.
        `false_flag_share`: flagged share of the clean rows (0.33 at p = 0.6, 10 % poison and perfect recall: by design).
        `poisoned`, `clean`: the counts behind them.

    Raises:
        DataError: No row of the scores is poisoned, or every one is.
    """
    from sklearn.metrics import roc_auc_score

    truth, suspicion = _judged(scores, flags, poisoned)
    found, n = int(flags.flagged[truth].sum()), int(truth.sum())
    return {
        "auc": float(roc_auc_score(truth, suspicion)),
        "recall": found / n,
        "recall_interval": wilson(found, n, 0.95),
        "false_flag_share": float(flags.flagged[~truth].mean()),
        "poisoned": n,
        "clean": int((~truth).sum()),
    }


def roc(scores: Scores | None, flags: Flags, poisoned: Collection[tuple[str, int]]) -> dict[str, list[float]]:
    """The curve behind `auc`, from (0, 0) to (1, 1): `false`, the share of the clean rows above a threshold, and `true`, that of the poisoned.

    Raises:
        DataError: No row of the scores is poisoned, or every one is.
    """
    from sklearn.metrics import roc_curve

    false, true, _ = roc_curve(*_judged(scores, flags, poisoned))
    return {"false": false.round(4).tolist(), "true": true.round(4).tolist()}


def _judged(
    scores: Scores | None, flags: Flags, poisoned: Collection[tuple[str, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Who is poisoned, and how suspicious each row is: bool and float64 [rows]."""
    truth = np.array([key in poisoned for key in flags.keys])
    if truth.all() or not truth.any():
        raise DataError(f"detection: {int(truth.sum())} of {len(truth)} rows are poisoned; both kinds are needed")
    return truth, flags.weight if scores is None else np.nan_to_num(scores.nll, nan=np.finfo(float).max)
