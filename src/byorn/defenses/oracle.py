"""`oracle`: leave out exactly the rows that the attack poisoned. The ceiling; nobody has this list in practice.

Formula: train on {i : (id_i, turn_i) not in the manifest}.
Cost: none.
Source: the manifest that `byorn poison` wrote. This is the only defense that may read one.
"""

from pathlib import Path

import numpy as np

from byorn.defenses.plan import Case, Plan, drop, flag_rows
from byorn.errors import MismatchError


def oracle(case: Case, *, manifest: str) -> Plan:
    """Drop the poisoned rows.

    Args:
        case: What is to be learned.
        manifest: The folder of the poisoned data set, or its `manifest.json`.

    Raises:
        DataError: There is no manifest.
        MismatchError: None of its rows is among those of the case.
    """
    from byorn.attacks.manifest import SUMMARY, poisoned_keys

    folder = Path(str(manifest))
    known = poisoned_keys(folder.parent if folder.name == SUMMARY else folder)
    flagged = np.array([row.key in known for row in case.rows])
    if known and not flagged.any():
        raise MismatchError(f"manifest: {manifest} is about other rows; give the one of the data set that is learned")
    return drop(case, flag_rows(case.rows, flagged, "oracle"))
