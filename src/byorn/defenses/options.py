"""The options of a defense: its keyword-only arguments, checked by their annotations before anything is loaded.

def random_drop(case: Case, *, share: Annotated[float, fraction] = 0.4) -> Plan: ...
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from byorn.errors import ConfigError
from byorn.settings import check_value, fit_value


def fitted(name: str, defense: Callable[..., object], options: Mapping[str, object]) -> dict[str, object]:
    """The options as the defense's annotations want them; what has no annotation passes as it is.

    Raises:
        ConfigError: The defense has no such option, one that it needs is missing, or a value is wrong.
    """
    parameters = inspect.signature(defense).parameters
    known = {key: value for key, value in parameters.items() if value.kind is value.KEYWORD_ONLY}
    unknown = [key for key in options if key not in known]
    if unknown:
        raise ConfigError(f"defense {name}: no option {unknown[0]!r}; it knows {', '.join(known) or 'none'}")
    missing = [key for key, value in known.items() if value.default is value.empty and key not in options]
    if missing:
        raise ConfigError(f"defense {name}: it needs the option {missing[0]}=...")
    kinds = _kinds(defense)
    return {key: _fitted(f"defense {name}: {key}", value, kinds.get(key, Any)) for key, value in options.items()}


def _kinds(defense: Callable[..., object]) -> Mapping[str, object]:
    try:
        return get_type_hints(defense, include_extras=True)
    except (NameError, TypeError, AttributeError):  # a plug-in may name types that are not there when it runs
        return {}


def _fitted(name: str, value: object, annotation: object) -> object:
    kind, *checks = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
    found = value if value is None or kind is Any else fit_value(name, value, kind)
    check_value(name, found, kind, checks[0] if checks else None)
    return found
