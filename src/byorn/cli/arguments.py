"""Commands and their options, made from the fields of settings dataclasses (`byorn.settings`); what is given for them:
`byorn.cli.values`.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field
from functools import partial
from typing import NoReturn, get_origin

from byorn.errors import ConfigError
from byorn.runs.settings import OutputAnew
from byorn.settings import choices_of, default_in_words, in_words, parse_text, settings_of

Values = dict[str, object]
CONFIG = "config"
SET = "set"


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

    @property
    def anew(self) -> bool:
        """Whether it starts anew when it is given again after a kill; else it goes on."""
        return any(issubclass(own, OutputAnew) for own in self.settings)

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
