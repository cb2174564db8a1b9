"""`byorn COMMAND ...`: parse, call, and turn what goes wrong into one line and an exit code.

Exit codes: 0 done; 2 bad usage, data or model; 130 interrupted (run the same command again to go on).
"""

import argparse
import sys
from collections.abc import Sequence

from byorn.cli import bench, demo, evaluate, poison, push, scan, train
from byorn.cli.options import apply_config
from byorn.errors import ByornError, ConfigError
from byorn.runs.narrate import quiet_libraries
from byorn.runs.ranks import error_line, only_main_speaks, share

COMMANDS = {
    "demo": demo, "scan": scan, "train": train, "poison": poison, "evaluate": evaluate, "bench": bench, "push": push,
}  # fmt: skip
SHARED = ("scan", "train", "evaluate")  # commands that several processes do together
DONE, USER_ERROR, INTERRUPTED = 0, 2, 130


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; each command module adds its own arguments."""
    from byorn import __version__

    parser = argparse.ArgumentParser(
        prog="byorn", description="Fine-tune vision-language models safely on data that you do not fully trust."
    )
    parser.add_argument("--version", action="version", version=f"byorn {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").partition("\n")[0].partition(": ")[2]
        command = commands.add_parser(
            name, help=summary, description=summary, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        command.add_argument(
            "--config", metavar="FILE", help="YAML file with any of these options; the command line wins"
        )
        module.add_arguments(command)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    quiet_libraries()
    try:
        with only_main_speaks():
            options = apply_config(build_parser(), arguments)
            if share().of > 1 and options.command not in SHARED:
                raise ConfigError(f"byorn {options.command} is the work of one process; start it without torchrun")
            COMMANDS[options.command].run(options)
    except ByornError as error:
        print(error_line(error), file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("\ninterrupted; run the same command again to go on from here", file=sys.stderr)
        return INTERRUPTED
    return DONE
