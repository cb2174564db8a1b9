"""The run folder: the resolved configuration, the environment that it ran in, and files that appear whole or not at
all.
"""

import hashlib
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from byorn.errors import ConfigError, MismatchError
from byorn.runs.atomic import atomic_path
from byorn.runs.ranks import is_main
from byorn.text import shown

PACKAGES = ("byorn", "torch", "transformers", "trl", "peft", "datasets", "accelerate", "tokenizers", "pillow", "numpy")


FREE = (
    "model.feature_store_size",
    "responses.response_engine_memory",
    "train.arguments.response_engine_memory",
)
"""Settings that no result depends on, by dotted name: a resumed run may have others."""
SWITCHES = ("model.feature_store", "model.feature_cache")
"""Settings of which results depend only on whether they are given: where features are kept, and how many."""
SHOWN = 5
"""How many settings that differ are listed."""


def make_folder(folder: Path, option: str = "--out") -> None:
    """Make an output folder that can be written, before work begins; `option` is what it was given with.

    Raises:
        ConfigError: It is a file, its name is too long, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"{option} {str(folder)[:200]}: {error.strerror or error}; choose another folder") from error


def write_json(path: Path, content: Any) -> None:
    """Write JSON, in the first process; the file appears whole or not at all."""
    if not is_main():
        return
    text = json.dumps(content, indent=2, default=str, ensure_ascii=False) + "\n"
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file that `write_json` wrote; None where it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def source_digest() -> str:
    """The first 12 hex digits of the SHA-256 of byorn's own files, by name: which code and which embedded model made
    a result.
    """
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def write_config(folder: Path, settings: dict[str, Any]) -> None:
    """`config.yaml`: every option of the command with its resolved value."""
    if not is_main():
        return
    import yaml

    plain = {
        key: asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
        for key, value in settings.items()
    }
    text = yaml.safe_dump(json.loads(json.dumps(plain, default=str)), sort_keys=False)
    with atomic_path(folder / "config.yaml") as partial:
        partial.write_text(text, encoding="utf-8")


def require_ours(folder: Path, command: str, *, alone: bool) -> None:
    """Refuse a folder whose content is another command's.

    Args:
        folder: To be written into.
        command: Who wants to.
        alone: Whether nothing may lie there but what the command itself began; `rejects.jsonl` may, which a refused
            call leaves. Else no other command's `config.yaml` may, which would be lost.

    Raises:
        ConfigError: It is.
    """
    owner = (read_config(folder) or {}).get("command")
    if owner == command:
        return
    if alone and folder.is_dir() and any(path.name != "rejects.jsonl" for path in folder.iterdir()):
        raise ConfigError(f"--out {folder}: it is not empty and no byorn {command} wrote it; choose another folder")
    if owner is not None and not alone:
        raise ConfigError(f"--out {folder}: byorn {owner} has its settings there; choose another folder, or one inside")


def require_apart(folder: Path, source: str) -> None:
    """Refuse a folder that the data set `source` lies in, or that lies in it.

    Raises:
        ConfigError: It does.
    """
    data, target = Path(source).resolve(), folder.resolve()
    if data.is_relative_to(target) or (data.is_dir() and target.is_relative_to(data)):
        raise ConfigError(
            f"--out {folder}: the data set itself lies there, or around it; choose a folder apart from it"
        )


def read_config(folder: Path) -> dict[str, Any] | None:
    """The settings in `config.yaml`, none without the file; None where it is damaged."""
    import yaml

    try:
        content = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return None
    return content if isinstance(content, dict) else None


def start_anew(folder: Path, command: str, parts: Sequence[str]) -> None:
    """Remove `parts` of an earlier run of the same command; nothing else is ever removed.

    Raises:
        ConfigError: The folder holds something else than such a run, or cannot be written.
    """
    make_folder(folder)
    require_ours(folder, command, alone=True)
    for part in parts:
        shutil.rmtree(folder / part, ignore_errors=True)


def same_config(folder: Path, settings: dict[str, Any]) -> None:
    """Refuse to go on with a run that was started with other settings.

    Raises:
        MismatchError: Naming the settings that differ, with both values; or the settings then cannot be read.
    """
    before = read_config(folder)
    if before is None:
        raise MismatchError(
            f"{folder / 'config.yaml'} is damaged, so nobody knows whether its run had these settings; delete the file "
            "to go on with them, or use another --out"
        )
    now = json.loads(json.dumps(settings, default=str))
    then = flat({key: before[key] for key in now if key in before})
    now = flat({key: now[key] for key in now if key in before})
    changed = [
        f"{name.rpartition('arguments.')[2]}: {_spoken(then, name)} then, {_spoken(now, name)} now"
        for name in dict.fromkeys([*then, *now])
        if name not in FREE and (name not in then or name not in now or _other(name, then[name], now[name]))
    ]
    if changed:
        more = f", and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise MismatchError(
            f"{folder}: it was started with other settings ({'; '.join(changed[:SHOWN])}{more}); "
            "use another --out, or those settings again"
        )


def _other(name: str, then: object, now: object) -> bool:
    return bool(then) != bool(now) if name in SWITCHES else then != now


def flat(settings: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Nested settings by dotted names: `train.lora.rank`."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return found


def _spoken(settings: dict[str, Any], name: str) -> str:
    return shown(settings[name]) if name in settings else "not set"


def write_environment(folder: Path, **facts: Any) -> None:
    """`environment.json`: versions, command and whatever identifies model and data."""
    command = [
        "byorn" if Path(sys.argv[0]).name in ("byorn", "__main__.py", "main.py") else Path(sys.argv[0]).name,
        *sys.argv[1:],
    ]
    write_json(
        folder / "environment.json",
        {"command": command, "platform": platform.platform(), "versions": versions(), **facts},
    )


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
