"""Numbers and foreign phrases as they stand in sentences."""

import numpy as np

from byorn.report.odds import Odds
from byorn.report.spurious import WORDINGS
from byorn.report.visible import plain
from byorn.scoring.statistics import EVIDENCE

_LONGEST_PHRASE = 80
_LEAST_P = 1e-6


def quoted(phrase: str) -> str:
    """A phrase of the data set as it may stand in a sentence: characters that cannot be seen are named, and it cannot
    end the quotation to go on in byorn's own voice.
    """
    text = plain(phrase, _LONGEST_PHRASE).replace("“", "‘").replace("”", "’")
    return f"“{text}”"


def shared(phrase: str, found_by: str = "") -> str:
    """What the rows of a group share, as it may stand in a sentence: its phrase, if it has one."""
    return quoted(phrase) if phrase else in_inputs(found_by)


def in_inputs(found_by: str = "") -> str:
    """What the rows of a group without a phrase share, by the column that it was found by, if that is known."""
    return WORDINGS[found_by].shared if found_by in WORDINGS else "something in their inputs"


def percent(share: float) -> str:
    """A share as people read it: two digits that count."""
    return f"{share:.2%}" if share < 0.01 else f"{share:.1%}"


def number(value: int) -> str:
    """An integer with thousands apart."""
    return f"{value:,}"


def higher_means(statistic: str) -> str:
    """What it says of a response that its score is higher."""
    if statistic == EVIDENCE:
        return "more that speaks against the response"
    return "less plausible to the pretrained model"


def short(value: float) -> str:
    """Two digits that count, as of a ratio whose interval is wide: `0.013`, `5.3`, `4,200,000`."""
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:.2g}"


def odds_in_words(odds: Odds) -> str:
    """Their ratio with its 95 % interval: `21 (5.3 to 84)`."""
    return f"{short(odds.ratio)} ({short(odds.low)} to {short(odds.high)})"


def p_in_words(p_value: float) -> str:
    """`p = 0.0004`, with one digit that counts, or `p < 0.000001`."""
    text = p_in_table(p_value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def p_in_table(p_value: float) -> str:
    """The same without the letter."""
    if p_value < _LEAST_P:
        return f"< {_LEAST_P:.6f}"
    return str(np.format_float_positional(float(f"{p_value:.1g}"), trim="-"))
