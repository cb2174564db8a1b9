"""`byorn COMMAND ...`: parse, call, and turn what goes wrong into one line and an exit code.

Exit codes: 0 done; 2 bad usage, data or model, or a disk that takes no more; 3 done, and found what `--fail-on` names
or `verify` looks for; 130 interrupted (SIGINT) and 143 terminated (SIGTERM): run the same command again to go on
(poison, demo and bench speed start anew).
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from byorn.errors import ByornError, ConfigError, GateExceeded

if TYPE_CHECKING:
    from byorn.cli.arguments import Command

COMMANDS = {
    "demo": "poison a small data set and watch plain fine-tuning fall for it, and byorn not",
    "scan": "score every response, and flag groups of rows that stand out",
    "report": "say what a scan found: a page for people, and two files for machines",
    "simulate": "plant known attacks in a copy of the rows of a scan: what can it see, and what not?",
    "train": "fine-tune with LoRA, replacing flagged responses by the model's own",
    "review": "decide about single rows of a scan, in a spreadsheet or on a page on this computer",
    "rewrite": "write the data set of a scan again, in its own format, without what was flagged",
    "poison": "plant a backdoor in a copy of a data set, to test defenses against it",
    "evaluate": "measure what a tuned model says on clean inputs and on triggered ones",
    "verify": "ask a tuned model whether it repeats what the scan flagged: did a backdoor take?",
    "bench": "run experiments, and turn their results into tables and plots",
    "push": "upload a trained adapter and its card to the Hugging Face Hub, and nothing else of the run",
}
SHARED = ("scan", "train", "evaluate", "bench speed")  # commands that several processes do together
DONE = 0
USER_ERROR = 2
GATE = 3
INTERRUPTED = 130
TERMINATED = 143


def usage() -> str:
    """What `byorn --help` prints."""
    commands = "\n".join(f"  {name:<10} {summary}" for name, summary in COMMANDS.items())
    return (
        "usage: byorn COMMAND [OPTIONS]\n\nFine-tune vision-language models safely on data that you do not fully "
        "trust.\n\n"
        f"commands:\n{commands}\n\n`byorn COMMAND --help` lists the options of a command. `byorn --version` says "
        "which byorn this is."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage(), file=sys.stdout if arguments else sys.stderr)
        return DONE if arguments else USER_ERROR
    if arguments[0] == "--version":
        from byorn import __version__

        print(f"byorn {__version__}")
        return DONE
    return _run_or_say_why(arguments[0], arguments[1:])


def _run_or_say_why(name: str, arguments: Sequence[str]) -> int:
    from byorn.runs.narrate import quiet_libraries, show_any_text, use_format
    from byorn.runs.ranks import error_line, only_main_speaks
    from byorn.runs.stopping import Terminated, disk_problem, terminable

    quiet_libraries()
    show_any_text()
    use_format("json" if _for_machines(arguments) else "text")
    try:
        with terminable(), only_main_speaks():
            _run(name, arguments)
            if sys.stdout is not None:  # closed by who started us
                sys.stdout.flush()  # a disk that is full behind it is known only now
    except ByornError as error:
        return _ended(GATE if isinstance(error, GateExceeded) else USER_ERROR, error_line(error))
    except KeyboardInterrupt as stop:
        word, code = ("terminated", TERMINATED) if isinstance(stop, Terminated) else ("interrupted", INTERRUPTED)
        return _ended(code, f"\n{word}; run the same command again {_what_then(name, arguments)}")
    except SystemExit as stop:  # argparse has shown a help page
        return stop.code if isinstance(stop.code, int) else DONE
    except BrokenPipeError:
        return _unread()
    except Exception as error:
        if (problem := disk_problem(error)) is None:
            raise
        return _ended(USER_ERROR, error_line(ByornError(problem)))
    return DONE


def _ended(code: int, told: str) -> int:
    """Say why, and give the exit code back."""
    from byorn.runs.narrate import as_line

    print(as_line(told, exit_code=code), file=sys.stderr)
    return code


def _unread() -> int:
    """Who read what byorn says has ended, as `head` does when it has its lines: nothing is written there any more."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    with suppress(BrokenPipeError):
        return _ended(USER_ERROR, "error: nobody reads the output any more; run the same command again")
    return USER_ERROR


def _for_machines(arguments: Sequence[str]) -> bool:
    """Whether the command line asks for JSON: what is wrong with it is told before its settings are read."""
    return "--log-format=json" in arguments or ("--log-format", "json") in pairwise(arguments)


def _what_then(name: str, arguments: Sequence[str]) -> str:
    """What a command does that is given again after it was stopped."""
    return "to start anew" if command_of(name, arguments)[1].anew else "to go on from here"


def command_of(name: str, arguments: Sequence[str]) -> "tuple[str, Command, Sequence[str]]":
    """The command of a name, or the part of it that the first argument names: its full name, itself, its arguments."""
    command: Command = import_module(f"byorn.cli.{name}").COMMAND
    if arguments and arguments[0] in command.parts:
        return f"{name} {arguments[0]}", command.parts[arguments[0]], arguments[1:]
    return name, command, arguments


def _run(name: str, arguments: Sequence[str]) -> None:
    from byorn.cli.values import read_values
    from byorn.runs.narrate import use_format
    from byorn.runs.ranks import current_shard
    from byorn.runs.settings import Common
    from byorn.settings import build, unknown

    if name not in COMMANDS:
        raise ConfigError(unknown("command", name, [*COMMANDS, "--help", "--version"]))

    name, command, arguments = command_of(name, arguments)
    values = read_values(name, command.summary or COMMANDS[name], command, arguments)
    if current_shard().num_shards > 1 and name not in SHARED:
        raise ConfigError(f"byorn {name} is the work of one process; start it without torchrun")
    common = build(Common, values)
    use_format(common.log_format)
    if not common.plugins:
        command.run(values)
        return
    from byorn.plugins import load_plugins, record_plugins

    plugins = load_plugins(common.plugins)
    command.run(values)
    if isinstance(out := values.get("out"), Path):
        record_plugins(out, plugins)
