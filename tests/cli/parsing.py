"""What a command line means, without running it."""

from importlib import import_module
from pathlib import Path

from byorn.cli.arguments import Values
from byorn.cli.main import COMMANDS
from byorn.cli.values import read_values


def values_of(command: str, *arguments: str) -> Values:
    """The values of a command line by option name."""
    return read_values(command, COMMANDS[command], import_module(f"byorn.cli.{command}").COMMAND, arguments)


def values_with(folder: Path, command: str, yaml: str, *arguments: str) -> Values:
    """The same with a YAML file."""
    path = folder / "run.yaml"
    path.write_text(yaml)
    return values_of(command, "--config", str(path), *arguments)
