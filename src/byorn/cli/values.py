"""What is given to a command, by option name: first the YAML file of `--config`, then `--set`, then the options with a
name of their own, each winning over those before.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn, get_origin

from byorn.cli.arguments import CONFIG, SET, Command, Values, build_parser, spelled
from byorn.cli.yaml_file import read_yaml
from byorn.errors import ConfigError
from byorn.settings import as_number, fit_value, unknown

PLUGIN = "plugin"


def read_values(name: str, summary: str, command: Command, arguments: Sequence[str]) -> Values:
    """What the command line and its YAML file say, by option name; the command's own defaults are in it, those of the
    settings are not.

    Raises:
        ConfigError: An option or key is unknown or has a value of another type.
    """
    parsed, strangers = build_parser(name, summary, command).parse_known_args(arguments)
    if strangers:
        _refuse(strangers[0].partition("=")[0], command)
    typed = {key: _gathered(key, value, command) for key, value in vars(parsed).items()}
    file = typed.pop(CONFIG, None)
    values = {**command.defaults, **(_of_file(Path(str(file)), command) if file else {})}
    if command.training:
        set_here = fields_set(typed)
        typed.pop(SET, None)
        values = _merged(values, _routed(set_here, command, "--set "))
    return _merged(values, typed)


def fields_set(values: Values) -> dict[str, object]:
    """What `--set` says: name -> value."""
    found = values.get(SET)
    return dict(found) if isinstance(found, Mapping) else {}


def _refuse(word: str, command: Command) -> NoReturn:
    if not word.startswith("-"):
        raise ConfigError(f"unexpected argument {word!r}")
    raise ConfigError(unknown("option", word, [spelled(known) for known in (*command.names(), CONFIG)]))


def _merged(values: Values, others: Values) -> Values:
    """`others` win; training arguments are merged one by one, and plugins add up."""
    both = {**fields_set(values), **fields_set(others)}
    plugins = (*_plugins(values), *_plugins(others))
    return {**values, **others, **({SET: both} if both else {}), **({PLUGIN: plugins} if plugins else {})}


def _plugins(values: Values) -> tuple[object, ...]:
    found = values.get(PLUGIN)
    return found if isinstance(found, tuple) else ()


def _gathered(option: str, value: object, command: Command) -> object:
    """The value of an option that may be given several times."""
    if not isinstance(value, list) or option in [word.name for word in command.positionals]:
        return value
    kind: object = Mapping if option == SET else command.fields()[option][1]
    if kind is Mapping or get_origin(kind) is Mapping:
        return dict(parse_setting(text, spelled(option)) for text in value)
    return fit_value(spelled(option), ",".join(value), kind)


def _of_file(path: Path, command: Command) -> Values:
    """The values of a YAML file by option name, itself among them where it can be that of the training to come."""
    content: Mapping[str, object] = read_yaml(path)
    try:
        if command.training:
            from byorn.cli.foreign_keys import to_byorn

            content = to_byorn(content, str(path))
        elif command.before:
            from byorn.cli.training_file import TrainingFile, shared_part

            shared = shared_part(content, command.fields(), command.aliases, command.before.names(), str(path))
            values = _routed(shared, command, "")
            serves_both = shared is not content and values.keys() <= set(command.before.names())
            return {**values, CONFIG: TrainingFile(path, values)} if serves_both else values
        else:
            from byorn.cli.training_file import refuse_foreign

            refuse_foreign(content, command.fields())
        return _routed(content, command, "")
    except ConfigError as error:
        raise ConfigError(f"--config {path}: {error}") from None


def _routed(content: Mapping[str, object], command: Command, prefix: str) -> Values:
    """Values under the names of their options; what is no option is a training argument, or an error."""
    known = command.fields()
    values: Values = {}
    others: Values = {}
    for key, value in content.items():
        name = key.replace("-", "_")
        name = command.aliases.get(name, name)
        if name in values:
            raise ConfigError(f"{prefix}{key}: it is given twice; keep one of them")
        if name in known:
            values[name] = _fitted(f"{prefix}{key}", value, known[name][1])
        elif command.training:
            others[name] = as_number(value)
        else:
            raise ConfigError(unknown("option", key, command.names()))
    return {**values, **({SET: others} if others else {})}


def _fitted(name: str, value: object, kind: object) -> object:
    if value is None:
        return None
    if get_origin(kind) is Mapping and isinstance(value, list | str):
        texts = [value] if isinstance(value, str) else value
        return dict(parse_setting(str(text), name) for text in texts)
    return fit_value(name, value, kind)


_COMMENT = re.compile(r"\s#")


def parse_setting(text: str, option: str = "--set") -> tuple[str, object]:
    """`NAME=VALUE` as a field name and a value read as YAML; `option` is what it was given with.

    Raises:
        ConfigError: There is no `=`, or the value is no YAML.
    """
    import yaml

    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"{option} {text}: write NAME=VALUE")
    if _COMMENT.search(value) and not value.lstrip().startswith(("'", '"', "[", "{")):
        return name.strip().replace("-", "_"), value  # a text on a command line has no comment
    try:
        return name.strip().replace("-", "_"), as_number(yaml.safe_load(value))
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{option} {text[:80]}: the value is no YAML") from error
