"""A YAML file of settings, read safely."""

from pathlib import Path

from byorn.errors import ConfigError


def read_yaml(path: Path) -> dict[str, object]:
    """The `option: value` lines of a file.

    Raises:
        ConfigError: It cannot be read, holds something else, or says something twice, of which YAML would drop the
            first.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, yaml.SafeLoader)
        content = yaml.safe_load(text) or {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"--config {str(path)[:200]}: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"--config {path}: expected `option: value` lines, found {type(content).__name__}")
    keys = [key.value for key, _ in root.value] if isinstance(root, yaml.MappingNode) else []
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise ConfigError(f"--config {path}: {twice}: it is given twice; keep one of them")
    return {str(key): value for key, value in content.items()}
