"""byorn: fine-tune vision-language models safely on data that you do not fully trust.

The names below are imported when they are first used, so that `import byorn` costs nothing.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "ByornConfig": "byorn.training.config",
    "ByornError": "byorn.errors",
    "ByornTrainer": "byorn.training.trainer",
    "Flags": "byorn.flagging.table",
    "Row": "byorn.data.row",
    "Scores": "byorn.scoring.table",
    "detection": "byorn.evaluation.detection",
    "flag_percentile": "byorn.flagging.percentile",
    "load_rows": "byorn.data.load",
    "Recipe": "byorn.attacks.recipe",
    "poison_dataset": "byorn.attacks.poison",
    "read_flags": "byorn.flagging.table",
    "read_scores": "byorn.scoring.table",
    "read_truth": "byorn.evaluation.detection",
    "score_dataset": "byorn.scoring.score",
    "to_dataset": "byorn.data.dataset",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("byorn")
    if name not in _HOMES:
        raise AttributeError(f"module 'byorn' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
