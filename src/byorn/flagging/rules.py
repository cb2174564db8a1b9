"""The rules by their names in the settings: scores -> flags."""

import re
from typing import cast

from byorn.errors import ConfigError
from byorn.flagging.evidence import RULE, flag_evidence
from byorn.flagging.percentile import flag_percentile
from byorn.flagging.settings import FlagSettings, Statistic
from byorn.flagging.table import Flags
from byorn.scoring.statistics import EVIDENCE, PASSES
from byorn.scoring.table import Scores

_STATISTIC = re.compile(r"\bstatistic=(\w+)")
_PERCENTILE = re.compile(r"percentile\(p=([\d.e+-]+)")


def flag(scores: Scores, settings: FlagSettings) -> Flags:
    """The flags of the rule of the settings.

    Raises:
        ConfigError: A value is out of range, or the scores lack what the rule looks at.
    """
    if settings.rule == "evidence":
        return flag_evidence(scores)
    return flag_percentile(scores, settings.percentile, settings.statistic)


def flagged_by(settings: FlagSettings) -> str:
    """The column of the scores that the rule of the settings looks at."""
    return EVIDENCE if settings.rule == "evidence" else settings.statistic


def settings_of_rule(rule: str) -> FlagSettings:
    """The settings of a rule as it was written down with flags.

    Raises:
        ConfigError: It is no rule of scores.
    """
    if rule == RULE:
        return FlagSettings()
    share = _PERCENTILE.match(rule)
    if share is None:
        raise ConfigError(f"rows are flagged by {rule}, which is no rule of a scan")
    return FlagSettings(rule="paper", percentile=float(share[1]), statistic=cast("Statistic", _named(rule)))


def column_of(rule: str, scores: Scores) -> str:
    """The column of the scores that flags are about, from their rule as it was written down."""
    named = _named(rule)
    return named if named in scores.values else FlagSettings.statistic


def passes_of(rule: str) -> int:
    """Forward passes over the rows that the rule of flags takes."""
    return PASSES.get(_named(rule), 1)


def _named(rule: str) -> str:
    found = _STATISTIC.search(rule)
    return EVIDENCE if rule == RULE else found[1] if found else FlagSettings.statistic


def described(flags: Flags) -> str:
    """What the rule of flags says, in a few words."""
    if flags.rule == RULE:
        return f"evidence of {flags.threshold:g} orders of magnitude or more that their groups stand out"
    return f"score above {flags.threshold:.3f} nats a token ({flags.rule})"
