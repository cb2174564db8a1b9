"""Defenses: rows and a pretrained model in, a plan for the fine-tuning out. One a file, listed here; see `plan.py`.

To add one: a file with a function `(case, *, options) -> Plan` and the docstring sections of its siblings, and one line
here; or, from a file of your own, see docs/extending.md.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from byorn.defenses.base_relabel import base_relabel
from byorn.defenses.bye import bye
from byorn.defenses.byorn import byorn
from byorn.defenses.byorn_f import byorn_f
from byorn.defenses.byorn_soft import byorn_soft
from byorn.defenses.onion import onion
from byorn.defenses.onion_r import onion_r
from byorn.defenses.options import fitted
from byorn.defenses.oracle import oracle
from byorn.defenses.plan import Case, Cost, Plan
from byorn.defenses.random_drop import random_drop
from byorn.defenses.robustit import robustit
from byorn.defenses.sft import sft
from byorn.defenses.tcap import tcap
from byorn.errors import ConfigError
from byorn.settings import unknown

DEFENSES: dict[str, Callable[..., Plan]] = {
    "byorn": byorn,
    "byorn-f": byorn_f,
    "byorn-soft": byorn_soft,
    "base-relabel": base_relabel,
    "sft": sft,
    "oracle": oracle,
    "random-drop": random_drop,
    "onion": onion,
    "onion-r": onion_r,
    "bye": bye,
    "tcap": tcap,
    "robustit": robustit,
}

__all__ = ["DEFENSES", "Case", "Cost", "Plan", "defense_named"]


def defense_named(name: str, options: Mapping[str, Any]) -> Callable[[Case], Plan]:
    """A defense with its options, which are checked before anything is loaded.

    Raises:
        ConfigError: There is no such defense, it has no such option, one that it needs is missing, or a value is wrong.
    """
    if name not in DEFENSES:
        raise ConfigError(unknown("defense", name, DEFENSES))
    return partial(DEFENSES[name], **fitted(name, DEFENSES[name], options))
