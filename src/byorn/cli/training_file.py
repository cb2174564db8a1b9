"""A `--config` file for a training, byorn's or another trainer's, given to another command.

A scan takes of it what it shares with the training (model, data, template, rule), so that one file serves both; the
other commands say what to type.
"""

import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from byorn.cli.foreign_keys import refuse_strangers, translate, with_underscores
from byorn.cli.foreign_tables import RENAMED
from byorn.errors import ConfigError
from byorn.runs.narrate import say

SHOWN = 6
"""How many of the keys that are left out are named."""


@dataclass(frozen=True)
class TrainingFile:
    """The file of a training to come: where it is, and what of it a scan takes, by option name."""

    path: Path
    shared: Mapping[str, object]


def shared_part(
    content: Mapping[str, object],
    known: Collection[str],
    short: Collection[str],
    of_training: Collection[str],
    where: str,
) -> Mapping[str, object]:
    """The values of a file under byorn's names, without those of a training alone, which are said in a line; `content`
    itself where all of it is for the command.

    Where the file is for a training, so are its folder and its short names (`batch_size`): they are left out as well.

    Args:
        content: The file's keys and values.
        known: The options of the command.
        short: Its short names for some of them.
        of_training: The options of the training; its file may have fields of `ByornConfig` as well.
        where: What the file is called.

    Raises:
        ConfigError: A key is neither of this command nor of a training, or asks for what byorn does not do.
    """
    given = with_underscores(content)
    if given.keys() <= {*known, *short}:
        return content
    values, _ = translate(given)
    if strangers := values.keys() - {*known, *of_training}:
        refuse_strangers(strangers, {*known, *of_training})
    taken = {name: value for name, value in values.items() if name in known and name != "out"}
    called = {RENAMED.get(key, key): key for key in given}
    left = [called.get(name, name) for name in values if name not in taken]
    more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
    if left:
        say(f"--config {where}: it is for a training; left out here: {', '.join(left[:SHOWN])}{more}")
    return taken


def refuse_foreign(content: Mapping[str, object], known: Collection[str]) -> None:
    """Say what of a file for another trainer a command takes, as options to type."""
    foreign = next((key for key in content if key in RENAMED and key not in known), None)
    if foreign is None:
        return
    options = [
        f"--{name.replace('_', '-')}" + ("" if value is True else f" {shlex.quote(str(value))}")
        for name, value in translate(content)[0].items()
        if name in known and name != "out" and value not in (None, False)
    ]
    raise ConfigError(
        f"{foreign}: files for `trl sft` and LLaMA-Factory are for byorn train and scan; here write {' '.join(options)}"
    )
