"""One home for every setting: a dataclass field with its help, type, default and check.

    percentile: float = setting(0.6, help="share of rows whose responses are trusted", check=fraction)

Command line, YAML files, Python and `docs/settings.md` are made from the field, and all of them check alike. Nothing
heavy is imported here.
"""

import difflib
import math
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, field, fields
from pathlib import Path
from reprlib import Repr
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from byorn.errors import ConfigError

Check = Callable[[Any], str | None]
Built = TypeVar("Built")
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", Path: "a path"}
_LARGEST = 2**63 - 1  # what tensors and files can count to
_LISTED = 30
_short = Repr()
_short.maxstring = _short.maxother = _short.maxlong = 80


def setting(
    default: object = MISSING,
    *,
    help: str,
    check: Check | None = None,
    option: str = "",
    metavar: str = "",
    shown: str = "",
) -> Any:  # as dataclasses.field: what stands beside the annotation
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


def each(check: Check) -> Check:
    """Every entry of a list passes; what is said is about the first that does not."""

    def of_all(values: Iterable[Any]) -> str | None:
        said = ((value, check(value)) for value in values)
        return next((f"holds {value!r}, which {problem}" for value, problem in said if problem), None)

    return of_all


def at_least(low: float) -> Check:
    """`low` or more."""
    return lambda value: None if value >= low else f"is below {low:g}"


def below(high: float, low: float = 0) -> Check:
    """In [low, high)."""
    return lambda value: None if low <= value < high else f"is not in [{low:g}, {high:g})"


def not_empty(value: str) -> str | None:
    """Text with something in it."""
    return None if value.strip() else "is empty"


def is_pattern(value: str) -> str | None:
    """A regular expression."""
    try:
        re.compile(value)
    except re.error as error:
        return f"is no regular expression ({error})"
    return None


def option_name(item: Field[object]) -> str:
    """The name of a setting on the command line and in YAML, with `_`."""
    return str(item.metadata["option"]) or item.name


def settings_of(kind: type) -> Iterator[tuple[str, Field[object], object]]:
    """Option name, field and resolved type of each setting of a dataclass; its other fields are left out."""
    hints = get_type_hints(kind)
    for item in fields(kind):
        if "option" in item.metadata:
            yield option_name(item), item, hints[item.name]


def default_in_words(item: Field[object]) -> str:
    """The default of a setting as help and documentation say it; empty where it must be given."""
    if item.metadata["shown"]:
        return str(item.metadata["shown"])
    return "none" if item.default_factory is not MISSING else in_words(item.default)


def in_words(value: object) -> str:
    """A default: `none` for None and what is empty, a list joined by commas, and nothing for a value that must be
    given.
    """
    if value is MISSING:
        return ""
    words = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return "none" if value is None else words or "none"


def check_settings(instance: object) -> None:
    """Check the types and values of a dataclass instance; meant for its `__post_init__`.

    Raises:
        ConfigError: Naming the setting, its value and what it should be.
    """
    for name, item, kind in settings_of(type(instance)):
        words = default_in_words(item)
        hint = f"; the default is {words}" if words else ""
        check_value(name, getattr(instance, item.name), kind, item.metadata["check"], hint)


def check_value(name: str, value: object, kind: object, check: Check | None = None, hint: str = "") -> None:
    """Raise a `ConfigError` unless `value` is of the annotated type and passes the check; NaN, infinity and numbers
    beyond what a tensor can count to never pass, nor in a list or mapping.
    """
    if not _is(value, kind):
        raise ConfigError(f"{name}: {_short.repr(value)} is not {describe(kind)}{hint}")
    if isinstance(value, int | float) and not abs(value) <= _LARGEST:
        raise ConfigError(f"{name}: {_short.repr(value)} is too large{hint}")
    if isinstance(value, str | Path) and "\0" in str(value):
        raise ConfigError(f"{name}: {_short.repr(str(value))} has a null character in it")
    if value is not None and check is not None and (problem := check(value)):
        raise ConfigError(f"{name}: {_short.repr(value)} {problem}{hint}")
    for place, inner in inside(name, value):
        if isinstance(inner, int | float) and not abs(inner) <= _LARGEST:
            raise ConfigError(f"{place}: {_short.repr(inner)} is too large, or no number")


def build(kind: type[Built], values: Mapping[str, object], **others: object) -> Built:
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


def parse_text(name: str, text: str, kind: object) -> object:
    """A value as the command line gives it.

    Raises:
        ConfigError: It is not of that type.
    """
    for part in _parts(kind):
        if part is Path and not text.strip():
            raise ConfigError(f"{name}: it is empty; give a path")
        try:
            if part in (Path, str, int, float):
                return part(text)
        except ValueError:
            continue
        if get_origin(part) is Literal and text in get_args(part):
            return text
        if get_origin(part) is tuple:
            inner = get_args(part)[0]
            return tuple(parse_text(name, piece.strip(), inner) for piece in text.split(",") if piece.strip())
    raise ConfigError(f"{name}: {_short.repr(text)} is not {describe(kind)}")


def fit_value(name: str, value: object, kind: object) -> object:
    """A value as YAML gives it: numbers may stand as text (1e-4 is text to YAML), lists become tuples, a switch must be
    true or false.

    Raises:
        ConfigError: It is not of that type.
    """
    parts = _parts(kind)
    if isinstance(value, list):
        for part in parts:
            if get_origin(part) is tuple:
                return tuple(fit_value(name, item, get_args(part)[0]) for item in value)
    number = value if str in parts else as_number(value)
    if _is(number, int) and int not in parts and float in parts and abs(cast(int, number)) <= _LARGEST:
        return float(cast(int, number))
    if _is(number, kind):
        return number
    if _is(number, float) and str in parts:
        return str(number)
    if isinstance(value, str):
        return parse_text(name, value, kind)
    raise ConfigError(f"{name}: {_short.repr(value)} is not {describe(kind)}")


def as_number(value: object) -> object:
    """The value, as a number if it is text such as 1e-4, which YAML does not take for one, since it wants a dot."""
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def choices_of(kind: object) -> list[str]:
    """The values of a closed choice; none for other types."""
    return [str(choice) for part in _parts(kind) if get_origin(part) is Literal for choice in get_args(part)]


def describe(kind: object) -> str:
    """A type in words: `a whole number`, `one of last, all`."""
    return " or ".join(_described(part) for part in _parts(kind) if part is not type(None))


def _described(part: object) -> str:
    origin = get_origin(part)
    if origin is Literal:
        return "one of " + ", ".join(choices_of(part))
    if origin in (tuple, list):
        return "a list"
    if part is dict or origin in (dict, Mapping):
        return "a mapping"
    return _KINDS.get(cast(type, part)) or str(getattr(part, "__name__", part))


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The sentence about a name that nobody knows, with the nearest known one, or all of them where they are not
    many.
    """
    bare = {other.strip("-").replace("-", "_"): other for other in sorted(known)}
    close = difflib.get_close_matches(name.strip("-").replace("-", "_"), bare, n=1, cutoff=0.7)
    said = f"unknown {kind} {_short.repr(name)}"
    if close:
        return f"{said}; did you mean {bare[close[0]]!r}?"
    return (
        f"{said}; known are {', '.join(bare.values())}"
        if len(bare) <= _LISTED
        else f"{said}; none of the {len(bare)} known ones is like it"
    )


def inside(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Place and value of everything in a mapping or list, at any depth, each once: YAML lets them hold themselves."""
    open_places: list[tuple[str, object]] = [(name, value)]
    seen = set()
    while open_places:
        place, whole = open_places.pop()
        if isinstance(whole, Mapping | list | tuple) and id(whole) not in seen:
            seen.add(id(whole))
            entries = whole.items() if isinstance(whole, Mapping) else enumerate(whole)
            found = [(f"{place}: {key}", entry) for key, entry in entries]
            yield from found
            open_places += found


def _parts(kind: Any) -> tuple[Any, ...]:
    """The members of a union, else the type alone."""
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _is(value: object, kind: object) -> bool:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return any(_is(value, part) for part in get_args(kind))
    if kind is Any:
        return True
    if origin is Literal:
        return any(value is choice or (isinstance(value, str) and value == choice) for choice in get_args(kind))
    if origin is tuple:
        return isinstance(value, tuple) and all(_is(item, get_args(kind)[0]) for item in value)
    if kind is float:
        return _is(value, int) or (isinstance(value, float) and math.isfinite(value))
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, cast(type, origin or kind))
