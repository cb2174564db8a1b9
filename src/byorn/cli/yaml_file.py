"""A YAML file of settings, read safely."""

from pathlib import Path
from typing import Any

from byorn.errors import ConfigError


def read_yaml(path: Path) -> dict[str, Any]:
    """The `option: value` lines of a file.

    Raises:
        ConfigError: It cannot be read, or holds something else.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"--config {path}: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"--config {path}: expected `option: value` lines, found {type(content).__name__}")
    return {str(key): value for key, value in content.items()}
