"""Commands and their options, made from the fields of settings dataclasses (`byorn.settings`).

What is given comes back by option name: first the YAML file of `--config`, then `--set`, then the options with a name of their own, each
winning over those before.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field
from pathlib import Path
from typing import Any, NoReturn, get_origin

from byorn.cli.yaml_file import read_yaml
from byorn.errors import ConfigError
from byorn.settings import as_number, describe, fit_value, parse_text, settings_of, unknown

Values = dict[str, Any]
SET, PLUGIN = "set", "plugin"


@dataclass(frozen=True, kw_only=True)
class Command:
    """What a command module declares.

    Attributes:
        run: Does it, given the values by option name.
        settings: Dataclasses whose fields are its options, one group of the help each.
        example: Of its use, for the help.
        defaults: Defaults that are this command's own; a setting with None here must be given.
        aliases: Short name -> option.
        positionals: Name -> argparse's keywords, for what has no dashes.
        training: Whether `--set`, and keys of the YAML file that are no option, are fields of `ByornConfig`.
    """

    run: Callable[[Values], None]
    settings: tuple[type, ...]
    example: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    positionals: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    training: bool = False

    def fields(self) -> "dict[str, tuple[Field[Any], Any]]":
        """Option name -> field and type."""
        return {name: (item, kind) for own in self.settings for name, item, kind in settings_of(own)}


class Parser(argparse.ArgumentParser):
    """Raises instead of printing its usage; options are never abbreviated."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message.replace("argument ", "", 1))


def build_parser(name: str, summary: str, command: Command) -> Parser:
    """The parser of one command."""
    words = " ".join(["byorn", name, *map(str.upper, command.positionals), "[OPTIONS]"])
    parser = Parser(prog=f"byorn {name}", usage=words, description=summary, epilog=f"example:\n  {command.example}")
    for positional, keywords in command.positionals.items():
        parser.add_argument(positional, **keywords)
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="YAML file with any of these options; the command line wins",
    )
    short = {option: alias for alias, option in command.aliases.items()}
    for own in command.settings:
        group = parser.add_argument_group((own.__doc__ or "").partition("\n")[0].rstrip("."))
        for option, item, kind in settings_of(own):
            names = [spelled(option), *([spelled(short[option])] if option in short else [])]
            group.add_argument(*names, dest=option, default=argparse.SUPPRESS, **_keywords(option, item, kind, command))
    if command.training:
        group.add_argument(
            "--set",
            action="append",
            default=argparse.SUPPRESS,
            metavar="NAME=VALUE",
            help="any other field; the value is read as YAML",
        )
    return parser


def spelled(option: str) -> str:
    """An option as it is typed: `--lora-rank`."""
    return "--" + option.replace("_", "-")


def _keywords(option: str, item: "Field[Any]", kind: Any, command: Command) -> dict[str, Any]:
    help_text = f"{item.metadata['help']} ({_default(option, item, command)})".replace("%", "%%")
    if kind is bool:
        return {"action": "store_true", "help": item.metadata["help"].replace("%", "%%")}
    metavar = item.metadata["metavar"] or option.rpartition("_")[2].upper()
    if get_origin(kind) in (Mapping, dict, tuple):
        return {"action": "append", "metavar": metavar, "help": help_text}
    choices = describe(kind).removeprefix("one of ").split(", ") if describe(kind).startswith("one of") else None
    shown = "{" + ",".join(choices) + "}" if choices else metavar
    return {"type": lambda text: parse_text(spelled(option), text, kind), "metavar": shown, "help": help_text}


def _default(option: str, item: "Field[Any]", command: Command) -> str:
    value = command.defaults.get(option, item.default)
    if value is MISSING and item.default_factory is not MISSING:
        return "default: none"
    if value is MISSING or (option in command.defaults and value is None):
        return "required"
    shown = item.metadata["shown"] if option not in command.defaults else ""
    return "default: " + str(
        shown or ("none" if value is None else ", ".join(value) if isinstance(value, tuple) else value)
    )


def read_values(name: str, summary: str, command: Command, arguments: Sequence[str]) -> Values:
    """What the command line and its YAML file say, by option name; the command's own defaults are in it, those of the settings are not.

    Raises:
        ConfigError: An option or key is unknown or has a value of another type.
    """
    parser = build_parser(name, summary, command)
    parsed, strangers = parser.parse_known_args(arguments)
    given = vars(parsed)
    if strangers:
        options = [
            spelled(known)
            for known in (*command.fields(), *command.aliases, "config", *([SET] if command.training else []))
        ]
        first = strangers[0].partition("=")[0]
        raise ConfigError(
            unknown("option", first, options) if first.startswith("-") else f"unexpected argument {first!r}"
        )
    typed = {key: _gathered(key, value, command) for key, value in given.items()}
    from_file = _of_file(Path(typed.pop("config")), command) if "config" in typed else {}
    values = {**command.defaults, **from_file}
    if command.training:
        arguments_set = typed.pop(SET, {})
        values = _merged(values, _routed(arguments_set, command, "--set "))
    return _merged(values, typed)


def _merged(values: Values, others: Values) -> Values:
    """`others` win; training arguments are merged one by one, and plugins add up."""
    both = {**values.get(SET, {}), **others.get(SET, {})}
    plugins = (*(values.get(PLUGIN) or ()), *(others.get(PLUGIN) or ()))
    return {**values, **others, **({SET: both} if both else {}), **({PLUGIN: plugins} if plugins else {})}


def _gathered(option: str, value: Any, command: Command) -> Any:
    """The value of an option that may be given several times."""
    if not isinstance(value, list) or option in command.positionals:
        return value
    kind = command.fields()[option][1] if option != SET else Mapping[str, Any]
    if get_origin(kind) in (Mapping, dict):
        return dict(parse_setting(text, spelled(option)) for text in value)
    return tuple(part for text in value for part in parse_text(spelled(option), text, kind))


def _of_file(path: Path, command: Command) -> Values:
    """The values of a YAML file by option name."""
    content = read_yaml(path)
    try:
        if command.training:
            from byorn.cli.foreign_keys import to_byorn

            content = to_byorn(content, str(path))
        return _routed(content, command, "")
    except ConfigError as error:
        raise ConfigError(f"--config {path}: {error}") from None


def _routed(content: Mapping[str, Any], command: Command, prefix: str) -> Values:
    """Values under the names of their options; what is no option is a training argument, or an error."""
    known, values, others = command.fields(), {}, {}
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
            raise ConfigError(unknown("option", key, [*known, *command.aliases]))
    return {**values, **({SET: others} if others else {})}


def _fitted(name: str, value: Any, kind: Any) -> Any:
    if value is None:
        return None
    if get_origin(kind) in (Mapping, dict) and isinstance(value, list | str):
        value = [value] if isinstance(value, str) else value
        return dict(parse_setting(str(text), name) for text in value)
    return fit_value(name, value, kind)


def parse_setting(text: str, option: str = "--set") -> tuple[str, Any]:
    """`NAME=VALUE` as a field name and a value read as YAML; `option` is what it was given with.

    Raises:
        ConfigError: There is no `=`, or the value is no YAML.
    """
    import yaml

    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"{option} {text}: write NAME=VALUE")
    try:
        return name.strip().replace("-", "_"), as_number(yaml.safe_load(value))
    except yaml.YAMLError as error:
        raise ConfigError(f"{option} {text}: the value is no YAML") from error
