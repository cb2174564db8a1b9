"""One home for every setting: a dataclass field with its help, type, default and check.

    percentile: float = setting(0.6, help="share of rows whose responses are trusted", check=fraction)

Command line, YAML files, Python and `docs/settings.md` are made from the field, and all of them check alike. Nothing heavy is imported here.
"""

import difflib
import math
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from byorn.errors import ConfigError

Check = Callable[[Any], str | None]
Built = TypeVar("Built")
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", Path: "a path"}


def setting(
    default: Any = MISSING,
    *,
    help: str,
    check: Check | None = None,
    option: str = "",
    metavar: str = "",
    shown: str = "",
) -> Any:
    """A dataclass field that is a setting.

    Args:
        default: Its default; left out, the setting must be given. A dict or list is copied for each instance.
        help: One line for people, without a full stop.
        check: Value -> what is wrong with it and how to fix it, or None. It is not asked about None.
        option: Its name outside Python where that is another one.
        metavar: What stands for the value in the help.
        shown: The default in words, where the value says little.
    """
    metadata = {"help": help, "check": check, "option": option, "metavar": metavar, "shown": shown}
    if isinstance(default, dict | list):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def fraction(value: float) -> str | None:
    """In [0, 1]."""
    return None if 0 <= value <= 1 else "is not between 0 and 1"


def positive(value: float) -> str | None:
    """Above 0."""
    return None if value > 0 else "is not above 0"


def at_least(low: float) -> Check:
    """`low` or more."""
    return lambda value: None if value >= low else f"is below {low:g}"


def below(high: float, low: float = 0) -> Check:
    """In [low, high)."""
    return lambda value: None if low <= value < high else f"is not in [{low:g}, {high:g})"


def is_pattern(value: str) -> str | None:
    """A regular expression."""
    try:
        re.compile(value)
    except re.error as error:
        return f"is no regular expression ({error})"
    return None


def option_name(item: "Field[Any]") -> str:
    """The name of a setting on the command line and in YAML, with `_`."""
    return str(item.metadata["option"]) or item.name


def settings_of(kind: type) -> "Iterator[tuple[str, Field[Any], Any]]":
    """Option name, field and resolved type of each setting of a dataclass; its other fields are left out."""
    hints = get_type_hints(kind)
    for item in fields(kind):
        if "option" in item.metadata:
            yield option_name(item), item, hints[item.name]


def check_settings(instance: Any) -> None:
    """Check the types and values of a dataclass instance; meant for its `__post_init__`.

    Raises:
        ConfigError: Naming the setting, its value and what it should be.
    """
    for name, item, kind in settings_of(type(instance)):
        value = getattr(instance, item.name)
        hint = "" if item.default is MISSING else f"; the default is {item.metadata['shown'] or item.default}"
        check_value(name, value, kind, item.metadata["check"], hint)


def check_value(name: str, value: Any, kind: Any, check: Check | None = None, hint: str = "") -> None:
    """Raise a `ConfigError` unless `value` is of the annotated type and passes the check; NaN and infinity never pass."""
    if not _is(value, kind):
        raise ConfigError(f"{name}: {value!r} is not {describe(kind)}{hint}")
    if value is not None and check is not None and (problem := check(value)):
        raise ConfigError(f"{name}: {value!r} {problem}{hint}")


def build(kind: type[Built], values: Mapping[str, Any], **others: Any) -> Built:
    """An instance of a settings dataclass from values by option name; `others` are its fields that are no settings.

    Raises:
        ConfigError: A setting without a default is missing, or a value is wrong.
    """
    given = dict(others)
    for name, item, _ in settings_of(kind):
        if values.get(name) is not None:
            given[item.name] = values[name]
        elif item.default is MISSING and item.default_factory is MISSING:
            raise ConfigError(
                f"--{name.replace('_', '-')} is missing; give it on the command line or in the --config file"
            )
    instance = kind(**given)
    check_settings(instance)
    return instance


def parse_text(name: str, text: str, kind: Any) -> Any:
    """A value as the command line gives it.

    Raises:
        ConfigError: It is not of that type.
    """
    for part in _parts(kind):
        try:
            if part is Path or part is str or part in (int, float):
                return part(text)
        except ValueError:
            continue
        if get_origin(part) is Literal and text in get_args(part):
            return text
        if get_origin(part) is tuple:
            inner = get_args(part)[0]
            return tuple(parse_text(name, piece.strip(), inner) for piece in text.split(",") if piece.strip())
    raise ConfigError(f"{name}: {text!r} is not {describe(kind)}")


def fit_value(name: str, value: Any, kind: Any) -> Any:
    """A value as YAML gives it: numbers may stand as text (1e-4 is text to YAML), lists become tuples, a switch must be true or false.

    Raises:
        ConfigError: It is not of that type.
    """
    value = as_number(value)
    if isinstance(value, list) and any(get_origin(part) is tuple for part in _parts(kind)):
        inner = next(get_args(part)[0] for part in _parts(kind) if get_origin(part) is tuple)
        return tuple(fit_value(name, item, inner) for item in value)
    if _is(value, kind):
        return (
            float(value)
            if isinstance(value, int)
            and not isinstance(value, bool)
            and float in _parts(kind)
            and int not in _parts(kind)
            else value
        )
    if isinstance(value, str):
        return parse_text(name, value, kind)
    if isinstance(value, int | float) and not isinstance(value, bool) and str in _parts(kind):
        return str(value)
    raise ConfigError(f"{name}: {value!r} is not {describe(kind)}")


def as_number(value: Any) -> Any:
    """The value, as a number if it is text such as 1e-4, which YAML does not take for one, since it wants a dot."""
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def describe(kind: Any) -> str:
    """A type in words: `a whole number`, `one of last, all`."""
    names = []
    for part in _parts(kind):
        if get_origin(part) is Literal:
            names.append("one of " + ", ".join(map(str, get_args(part))))
        elif part is type(None):
            continue
        elif get_origin(part) is tuple:
            names.append("a list")
        else:
            names.append(
                _KINDS.get(
                    part, "a mapping" if get_origin(part) in (dict, Mapping) else getattr(part, "__name__", str(part))
                )
            )
    return " or ".join(names)


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The sentence about a name that nobody knows, with the nearest known one."""
    known = sorted(known)
    close = difflib.get_close_matches(name.replace("-", "_"), [other.replace("-", "_") for other in known], n=1)
    spelled = next((other for other in known if close and other.replace("-", "_") == close[0]), None)
    return f"unknown {kind} {name!r}" + (
        f"; did you mean {spelled!r}?" if spelled else f"; known are {', '.join(known)}"
    )


def _parts(kind: Any) -> tuple[Any, ...]:
    """The members of a union, else the type alone."""
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _is(value: Any, kind: Any) -> bool:
    if get_origin(kind) in (Union, types.UnionType):
        return any(_is(value, part) for part in get_args(kind))
    origin = get_origin(kind)
    if origin is Literal:
        return value in get_args(kind)
    if origin is tuple:
        return isinstance(value, tuple) and all(_is(item, get_args(kind)[0]) for item in value)
    if kind in (int, float):
        return (
            isinstance(value, (int, float) if kind is float else int)
            and not isinstance(value, bool)
            and math.isfinite(value)
        )
    if kind is Any:
        return True
    return isinstance(value, origin or kind)
