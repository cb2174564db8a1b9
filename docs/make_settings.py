"""Writes `settings.md` from the settings themselves: `make docs`."""

from importlib import import_module
from pathlib import Path

from byorn.cli.arguments import spelled
from byorn.cli.main import COMMANDS
from byorn.settings import default_in_words, describe, settings_of

PAGE = Path(__file__).with_name("settings.md")
HEAD = """# Settings

Made from the code by `make docs`; a test compares. Each setting is an option of the commands that are named, a key of their YAML files (with `_`), and a
field of the class, which Python code uses. An option wins over `--set`, that over the file.
"""


def page() -> str:
    """The whole page."""
    declared = {name: import_module(f"byorn.cli.{name}").COMMAND for name in COMMANDS}
    parts = {f"{name} {word}": part for name, command in declared.items() for word, part in command.parts.items()}
    commands = {**declared, **parts}
    kinds = {kind: None for command in commands.values() for kind in command.settings}
    return HEAD + "".join(
        section(kind, [name for name in commands if kind in commands[name].settings]) for kind in kinds
    )


def section(kind: type, commands: list[str]) -> str:
    """A class of settings, in a table."""
    title = (kind.__doc__ or "").partition("\n")[0].rstrip(".")
    lines = [
        f"\n## {title}\n\n`{kind.__module__}.{kind.__name__}`, of {', '.join(f'`byorn {name}`' for name in commands)}\n"
    ]
    lines.append("| option | field | what | type | default |\n|---|---|---|---|---|")
    for option, item, annotation in settings_of(kind):
        cells = (
            f"`{spelled(option)}`",
            f"`{item.name}`",
            item.metadata["help"],
            describe(annotation),
            default_in_words(item) or "must be given, or the command's own",
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
