"""Kinds of input, and how much of their responses the images explain (g of `byorn.scoring.spurious.insertion`).

Of an instruction of its own no rule can tell whether it is a task that the model cannot do, one that needs no image, or
a trigger with its planted answers. A person can, who is told where to look.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from byorn.report.run import Run
from byorn.scoring.kinds import COPY
from byorn.scoring.spurious.insertion import MOST_EXPLAINED, explained
from byorn.scoring.statistics import ADAPTED, ADAPTED_CONTRAST, KIND


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Rows with as many images and like instructions.

    Attributes:
        instruction: The most frequent one.
        rows: Without copies of others.
        flagged: Of those.
        explained: What the images explain of the responses, at most 1; None of rows without a contrast.
    """

    instruction: str
    rows: int
    flagged: int
    explained: float | None


def kinds_in(run: Run) -> list[Kind]:
    """The kinds of a scan by evidence, the largest first; none where there is one, or kinds are not known."""
    values = run.scores.values
    if not {KIND, ADAPTED, ADAPTED_CONTRAST} <= values.keys():
        return []
    kinds = values[KIND].astype(int)
    numbers = np.unique(kinds[kinds != COPY])
    return [_kind(run, np.flatnonzero(kinds == kind)) for kind in numbers] if len(numbers) > 1 else []


def unexplained(kinds: list[Kind]) -> list[Kind]:
    """Those of whose responses the images explain at most `MOST_EXPLAINED` of what they explain of a larger kind's."""
    known = [kind.explained or 0.0 for kind in kinds]
    return [
        kind
        for place, kind in enumerate(kinds)
        if kind.explained is not None and kind.explained <= MOST_EXPLAINED * max(known[:place], default=0.0)
    ]


def _kind(run: Run, rows: np.ndarray) -> Kind:
    own, contrast = (run.scores.values[name] for name in (ADAPTED, ADAPTED_CONTRAST))
    compared = rows[np.isfinite(own[rows]) & np.isfinite(contrast[rows])]
    asked = Counter(run.rows[row].instruction for row in rows)
    return Kind(
        instruction=asked.most_common(1)[0][0],
        rows=len(rows),
        flagged=int(run.flags.flagged[rows].sum()),
        explained=explained(compared, own, contrast) if len(compared) else None,
    )
