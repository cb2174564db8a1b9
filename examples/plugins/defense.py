"""A defense: leave out the rows whose response stands in many other rows, word for word."""

from collections import Counter

import numpy as np

from byorn.defenses import DEFENSES
from byorn.defenses.plan import Case, Plan, drop, flag_rows
from byorn.errors import ConfigError


def drop_repeated(case: Case, *, copies: int = 10) -> Plan:
    """Flag every response that occurs more than `copies` times.

    An attacker who varies the response is not seen, and a task with few answers loses its rows.
    """
    if not isinstance(copies, int) or copies < 1:
        raise ConfigError(f"drop-repeated: copies is {copies!r}; give a whole number above 0")
    responses = [row.response.strip() for row in case.rows]
    counts = Counter(responses)
    flagged = np.array([counts[response] > copies for response in responses])
    return drop(case, flag_rows(case.rows, flagged, f"repeated(copies={copies})"))


DEFENSES["drop-repeated"] = drop_repeated
