"""Options that several commands share, and the YAML file that can hold any of them."""

import argparse
import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byorn.cli.trl_keys import from_trl
from byorn.errors import ConfigError
from byorn.runs.narrate import say

if TYPE_CHECKING:
    from byorn.models.inputs import DataSpec, ModelSpec

_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def add_data(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """`--data` and how to read it."""
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        metavar="PATH",
        help="JSON, JSONL or Parquet file, folder, or hub name" + (" (required)" if required else ""),
    )
    group.add_argument(
        "--format",
        default="auto",
        help="layout of the rows: llava, sharegpt, alpaca, trl, ...; auto tells it from the content",
    )
    group.add_argument("--name", help="entry of a LLaMA-Factory dataset_info.json, or configuration of a hub data set")
    group.add_argument("--split", default="train", help="split of a datasets folder or hub data set")
    group.add_argument(
        "--turns",
        choices=("last", "all"),
        default="last",
        help="which assistant turns of a conversation are scored and learned",
    )
    group.add_argument(
        "--image-root", metavar="DIR", help="folder that image paths are relative to; default: the folder of the data"
    )
    group.add_argument("--limit", type=int, metavar="N", help="use the first N records only")
    group.add_argument(
        "--strict", action="store_true", help="fail on the first record that cannot be used, instead of listing it"
    )
    group.add_argument(
        "--max-length", type=int, metavar="TOKENS", help="reject longer rows; default: the model's own limit"
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """`--model` and how to load it."""
    group = parser.add_argument_group("model")
    group.add_argument("--model", help="folder or hub name of a vision-language model, or 'embedded' (required)")
    group.add_argument(
        "--dtype", choices=("auto", "float32", "bfloat16", "float16"), default="auto", help="number type of the weights"
    )
    group.add_argument(
        "--quantize", choices=("none", "4bit", "8bit"), default="none", help="load the weights in fewer bits"
    )
    group.add_argument(
        "--attention", metavar="NAME", help="sdpa, eager, flash_attention_2, ...; default: the model's own"
    )
    group.add_argument("--device", help="cpu, cuda, cuda:1, ...; default: the first GPU if there is one")
    group.add_argument(
        "--trust-remote-code", action="store_true", help="run Python code that comes with the model; think twice"
    )


def add_plugins(parser: argparse.ArgumentParser) -> None:
    """`--plugin`, any number of times."""
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        dest="plugins",
        metavar="FILE",
        help="Python file with attacks, defenses, metrics or tasks of your own; it is code and it runs, wherever its name stands, so read "
        "what others give you; can be given several times",
    )


def data_spec(options: argparse.Namespace) -> "DataSpec":
    """The data options as the pipeline wants them."""
    from byorn.models.inputs import DataSpec

    root = Path(options.image_root) if options.image_root else None
    return DataSpec(
        require(options, "data"),
        options.format,
        options.name,
        options.split,
        options.turns,
        root,
        options.limit,
        options.strict,
        options.max_length,
    )


def model_spec(options: argparse.Namespace) -> "ModelSpec":
    """The model options as the pipeline wants them."""
    from byorn.models.inputs import ModelSpec

    return ModelSpec(
        require(options, "model"),
        options.dtype,
        options.device,
        options.trust_remote_code,
        options.quantize,
        options.attention,
    )


def require(options: argparse.Namespace, name: str) -> Any:
    """An option that has no default but may come from the YAML file.

    Raises:
        ConfigError: It is missing.
    """
    value = getattr(options, name)
    if value is None:
        raise ConfigError(f"--{name.replace('_', '-')} is missing; give it on the command line or in the --config file")
    return value


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


def as_number(value: Any) -> Any:
    """The value, as a number if it is text such as 1e-4, which YAML does not take for one, since it wants a dot."""
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def apply_config(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse `arguments`; a `--config` file supplies the defaults of whatever they leave out.

    Raises:
        ConfigError: The file cannot be read, or holds an unknown or unfit key.
    """
    options = parser.parse_args(arguments)
    if not options.config:
        return options
    command = _subparser(parser, options.command)
    command.set_defaults(**_read_config(Path(options.config), command))
    return parser.parse_args(arguments)


def _subparser(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    action = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return action.choices[name]


def _read_config(path: Path, command: argparse.ArgumentParser) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"--config {path}: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"--config {path}: expected `option: value` lines, found {type(content).__name__}")
    actions = {action.dest: action for action in command._actions if action.dest not in ("help", "config")}
    values = _by_dest(content, actions, path)
    if "arguments" in actions:
        values = _without_trl_keys(values, path)
    extra = {key: values.pop(key) for key in list(values) if key not in actions}
    if extra and "arguments" not in actions:
        raise ConfigError(f"--config {path}: {_unknown(next(iter(extra)), actions)}")
    checked = {key: _fit(actions[key], value, path) for key, value in values.items()}
    return {**checked, "config_arguments": extra} if extra else checked


def _by_dest(content: dict[Any, Any], actions: dict[str, argparse.Action], path: Path) -> dict[str, Any]:
    """The values under the names that argparse gives options: `plugins` for `plugin`, as `--plugin` can be given several times."""
    names = {
        option.lstrip("-").replace("-", "_"): dest
        for dest, action in actions.items()
        for option in action.option_strings
    }
    values: dict[str, Any] = {}
    for key, value in content.items():
        name = str(key).replace("-", "_")
        name = names.get(name, name)
        if name in values:
            raise ConfigError(f"--config {path}: {key}: it is given twice; keep one of them")
        values[name] = value
    return values


def _without_trl_keys(values: dict[str, Any], path: Path) -> dict[str, Any]:
    try:
        values, notices = from_trl(values)
    except ConfigError as error:
        raise ConfigError(f"--config {path}: {error}") from None
    for notice in notices:
        say(f"--config {path}: {notice}")
    return values


def _unknown(key: str, actions: dict[str, Any]) -> str:
    close = difflib.get_close_matches(key, actions, n=1)
    return f"unknown option {key!r}" + (
        f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(actions))}"
    )


def _fit(action: argparse.Action, value: Any, path: Path) -> Any:
    """A YAML value as the command line would have read it."""
    if isinstance(action, argparse._AppendAction):
        given = value if isinstance(value, list) else [] if value is None else [value]
        return [str(item) for item in given]
    if value is None or isinstance(action, argparse._StoreTrueAction):
        return value
    if action.choices and value not in action.choices:
        raise ConfigError(
            f"--config {path}: {action.dest}: {value!r} is not one of {', '.join(map(str, action.choices))}"
        )
    if not callable(action.type):
        return value
    try:
        return action.type(value if isinstance(value, str) else str(value))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"--config {path}: {action.dest}: {value!r} is not a {getattr(action.type, '__name__', 'valid value')}"
        ) from error
