"""What can go wrong, as a tree.

    ByornError                one clear line for the user: what, where, how to fix
    ├── ConfigError           an option or a configuration value is wrong
    ├── DataError             the data set cannot be read, or holds no usable row
    ├── ModelError            the model or its processor cannot be used as asked
    ├── TrainingError         a training cannot go on: its numbers are no longer finite
    ├── MismatchError         two files of a run do not belong together (scores of another data set or model)
    ├── BenchError            some cells of a bench failed; the others are done
    └── GateExceeded          the work is done, and found what `--fail-on` names

The command line prints the message of a `ByornError` as `error: ...` and exits with 2, or with 3 for `GateExceeded`;
anything else is a bug and keeps its traceback.
"""

MAX_LINE = 1500


def one_line(text: str, width: int = MAX_LINE) -> str:
    """Foreign text on one line: white space is a space, what cannot be shown is `?`, and the middle of a long one is
    left out.
    """
    if len(text) > width:
        text = f"{text[: width // 2]} [{len(text) - width} characters] {text[-(width // 2) :]}"
    return "".join(" " if letter.isspace() else letter if letter.isprintable() else "?" for letter in text)


class ByornError(Exception):
    """Base of every error that a user can fix: its message is one line of bounded length, whatever it tells of."""

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(str(message)))


class ConfigError(ByornError):
    """An option or a configuration value is wrong."""


class DataError(ByornError):
    """The data set cannot be read, or holds no usable row."""


class ModelError(ByornError):
    """The model or its processor cannot be used as asked."""


class TrainingError(ByornError):
    """A training cannot go on."""


class MismatchError(ByornError):
    """Two files of a run do not belong together."""


class BenchError(ByornError):
    """Some cells of a bench failed; the others are done."""


class GateExceeded(ByornError):
    """The work is done, and found what the user does not want."""
