"""The rules by their names in the settings: scores -> flags."""

from byorn.flagging.evidence import RULE, flag_evidence
from byorn.flagging.percentile import flag_percentile
from byorn.flagging.settings import FlagSettings
from byorn.flagging.table import Flags
from byorn.scoring.statistics import EVIDENCE
from byorn.scoring.table import Scores


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


def described(flags: Flags) -> str:
    """What the rule of flags says, in a few words."""
    if flags.rule == RULE:
        return f"evidence of {flags.threshold:g} orders of magnitude or more that their groups stand out"
    return f"score above {flags.threshold:.3f} nats a token ({flags.rule})"
