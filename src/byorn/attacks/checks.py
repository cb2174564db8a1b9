"""Checks of a trigger's options; each message names attack, option, value and the fix."""

import math
from collections.abc import Iterable
from typing import TypeGuard

from byorn.errors import ConfigError


def check_fraction(attack: str, option: str, value: object, whole: str) -> None:
    """A number in (0, 1].

    Raises:
        ConfigError: It is none.
    """
    if not _is_number(value) or not 0 < value <= 1:
        raise ConfigError(f"{attack}: {option} is {value!r}; give a fraction {whole} above 0 and up to 1")


def check_range(attack: str, option: str, value: object, low: float, high: float) -> None:
    """A number in [low, high].

    Raises:
        ConfigError: It is none.
    """
    if not _is_number(value) or not low <= value <= high:
        raise ConfigError(f"{attack}: {option} is {value!r}; give a number from {low:g} to {high:g}")


def check_count(attack: str, option: str, value: object, low: int, high: int = 100_000) -> None:
    """A whole number in [low, high].

    Raises:
        ConfigError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{attack}: {option} is {value!r}; give a whole number from {low} to {high}")


def check_choice(attack: str, option: str, value: object, choices: Iterable[str]) -> None:
    """One of `choices`.

    Raises:
        ConfigError: It is none.
    """
    known = list(choices)
    if value not in known:
        raise ConfigError(f"{attack}: unknown {option} {value!r}; choose one of: {', '.join(known)}")


def check_flag(attack: str, option: str, value: object) -> None:
    """True or false.

    Raises:
        ConfigError: It is neither.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{attack}: {option} is {value!r}; give true or false")


def check_text(attack: str, option: str, value: object) -> None:
    """A text that is not blank.

    Raises:
        ConfigError: It is none.
    """
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{attack}: {option} is {value!r}; give a text that is not empty")


def _is_number(value: object) -> TypeGuard[float]:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)  # of any size, which `isfinite` cannot take
