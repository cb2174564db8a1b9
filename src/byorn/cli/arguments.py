"""Commands and their options, made from the fields of settings dataclasses (`byorn.settings`).

What is given comes back by option name: first the YAML file of `--config`, then `--set`, then the options with a name
of their own, each winning over those before.
"""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field
from functools import partial
from pathlib import Path
from typing import NoReturn, get_origin

from byorn.cli.yaml_file import read_yaml
from byorn.errors import ConfigError
from byorn.settings import (
    as_number,
    choices_of,
    default_in_words,
    fit_value,
    in_words,
    parse_text,
    settings_of,
    unknown,
)

Values = dict[str, object]
CONFIG = "config"
SET = "set"
PLUGIN = "plugin"


@dataclass(frozen=True, kw_only=True)
class Positional:
    """A word of the command line without dashes; `several` are any number of them, `optional` is one or none."""

    name: str
    help: str
    choices: tuple[str, ...] | None = None
    several: bool = False
    optional: bool = False

    @property
    def shown(self) -> str:
        """The word as the help shows it."""
        return "{" + ",".join(self.choices) + "}" if self.choices else self.name.upper()

    @property
    def usage(self) -> str:
        """The word as the usage line shows it."""
        return f"[{self.shown} ...]" if self.several else f"[{self.shown}]" if self.optional else self.shown

    @property
    def nargs(self) -> str | None:
        """How often it may stand, as argparse says it."""
        return "*" if self.several else "?" if self.optional else None


@dataclass(frozen=True, kw_only=True)
class Command:
    """What a command module declares.

    Attributes:
        run: Does it, given the values by option name.
        settings: Dataclasses whose fields are its options, one group of the help each.
        example: Of its use, for the help.
        defaults: Defaults that are this command's own; a setting with None here must be given.
        aliases: Short name -> option.
        positionals: What has no dashes.
        training: The one of `settings` whose group of the help `--set` joins. Where there is one, `--set`, and keys of
            the YAML file that are no option, are fields of `ByornConfig`.
        before: The command that comes after this one, and whose YAML file serves this one too; what that command alone
            needs is left out.
        summary: What it does, where the list of commands does not say it.
        parts: Word in the place of the first positional -> a command with options of its own.
    """

    run: Callable[[Values], None]
    settings: tuple[type, ...]
    example: str
    defaults: Mapping[str, object] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    positionals: tuple[Positional, ...] = ()
    training: type | None = None
    before: "Command | None" = None
    summary: str = ""
    parts: "Mapping[str, Command]" = field(default_factory=dict)

    def fields(self) -> dict[str, tuple[Field[object], object]]:
        """Option name -> field and type."""
        return {name: (item, kind) for own in self.settings for name, item, kind in settings_of(own)}

    def names(self) -> list[str]:
        """The names of all options, also as keys of a YAML file."""
        return [*self.fields(), *self.aliases, *([SET] if self.training else [])]


class Parser(argparse.ArgumentParser):
    """Raises instead of printing its usage."""

    def error(self, message: str) -> NoReturn:
        message = message.replace("ignored explicit argument", "it is a switch and takes no value, such as")
        raise ConfigError(message.replace("argument ", "", 1))


def build_parser(name: str, summary: str, command: Command) -> Parser:
    """The parser of one command."""
    words = [word.usage for word in command.positionals]
    parser = Parser(
        prog=f"byorn {name}",
        usage=" ".join(["byorn", name, *words, "[OPTIONS]"]),
        description=summary,
        epilog=f"example:\n  {command.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,  # what is not given is not there
    )
    for word in command.positionals:
        parser.add_argument(
            word.name,
            choices=word.choices,
            nargs=word.nargs,
            default=argparse.SUPPRESS,  # without it even a word that may be missing is said to be required
            metavar=word.shown,
            help=word.help,
        )
    parser.add_argument("--config", metavar="FILE", help="YAML file with any of these options; the command line wins")
    short = {option: alias for alias, option in command.aliases.items()}
    for own in command.settings:
        group = parser.add_argument_group((own.__doc__ or "").partition("\n")[0].rstrip("."))
        for option, item, kind in settings_of(own):
            names = [spelled(option), *([spelled(short[option])] if option in short else [])]
            add = partial(group.add_argument, *names, dest=option)
            _add_option(add, option, kind, item.metadata["metavar"], _help(option, item, kind, command))
        if own is command.training:
            words_of_set = "any other field of SFTConfig; the value is read as YAML; can be given several times"
            group.add_argument("--set", action="append", metavar="NAME=VALUE", help=words_of_set)
    return parser


def spelled(option: str) -> str:
    """An option as it is typed: `--lora-rank`."""
    return "--" + option.replace("_", "-")


def _add_option(add: Callable[..., object], option: str, kind: object, metavar: str, help_text: str) -> None:
    choices = choices_of(kind)
    shown = "{" + ",".join(choices) + "}" if choices else metavar or option.rpartition("_")[2].upper()
    if kind is bool:
        add(action="store_true", help=help_text)
    elif get_origin(kind) in (Mapping, tuple):
        add(action="append", metavar=shown, help=help_text)
    else:
        add(type=lambda text: parse_text(spelled(option), text, kind), metavar=shown, help=help_text)


def _help(option: str, item: Field[object], kind: object, command: Command) -> str:
    own = option in command.defaults
    default = in_words(command.defaults[option]) if own else default_in_words(item)
    required = not default or (own and command.defaults[option] is None)
    note = "" if kind is bool else " (required)" if required else f" (default: {default})"
    return f"{item.metadata['help']}{note}".replace("%", "%%")


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
