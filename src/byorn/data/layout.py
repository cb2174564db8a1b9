"""A folder as the Hub lays it out -> the data files of each split, as `datasets.load_dataset` finds them.

Splits are those of the `configs` in the header of README.md; else they are read off the names, in this order:
`data/train-00000-of-00001.parquet`, a folder `train/` at any depth, a file `train.jsonl`. Where no name says a split,
all files are `train`. Only JSON, JSONL and Parquet files count, and only files inside the folder.
"""

import glob
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from byorn.data.records import SUFFIXES
from byorn.errors import DataError
from byorn.text import first_line, shown

Splits = dict[str, list[Path]]
_KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SHARD = re.compile(r"data/(\w+(?:\.\w+)*)-\d{5}-of-\d{5}[^/]*\.[^/]*")
_IN_FILE = ("{0}[-._ 0-9].*", ".*[-._ 0-9]{0}[-._ 0-9].*")
_IN_FOLDER = ("{0}", "{0}[-._ 0-9].*", ".*[-._ 0-9]{0}", ".*[-._ 0-9]{0}[-._ 0-9].*")
_IGNORED = frozenset({"config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json"})
UNFINISHED = ".byorn-unfinished"
"""The folder in a data set that its files come from; it is there only while they do, and after a kill."""
_MAX_CARD = 1_000_000
_MAX_PATTERN = 500
_MAX_DEEP = 2  # each `**` of a pattern walks the whole folder once more


def require_whole(folder: Path) -> None:
    """Refuse a data set whose files were still on their way when byorn was killed.

    Raises:
        DataError: Saying where they are.
    """
    left = folder / UNFINISHED
    if left.is_dir() and any(left.iterdir()):
        raise DataError(
            f"{folder}: byorn was killed while it moved a finished data set there; give that command again, or, if it "
            f"reads this very folder, move what {left} holds into it"
        )


def data_files(folder: Path) -> list[Path]:
    """The data files directly in a folder, by name."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())


def files_of_split(folder: Path, name: str | None, split: str) -> list[Path]:
    """The data files of a split, in order.

    Args:
        folder: The data folder.
        name: A configuration of README.md; None for its default one.
        split: `train`, `test`, ...; `dev` and `val` are `validation`.

    Raises:
        DataError: No such configuration or split; the message names those that there are.
    """
    splits = _splits(folder, name)
    chosen = splits.get(split) or splits.get(split_called(split)) or []
    if not chosen:
        chosen = [file for file in data_files(folder) if re.match(rf"{re.escape(split)}\b", file.stem)]
    if not chosen and not splits:
        found = ", ".join(shown(file) for file in sorted(os.listdir(folder))[:10]) or "nothing"
        raise DataError(
            f"{folder}: no data file ({', '.join(SUFFIXES)}) inside (found: {found}); point to the file or its folder"
        )
    if not chosen:
        found = "; ".join(f"{known}: {_named(files, folder)}" for known, files in list(splits.items())[:10])
        raise DataError(f"{folder}: no split {shown(split)}; use one of those found ({found})")
    return chosen


def split_called(name: str) -> str:
    """The split that goes by a name, `validation` for `dev`; the name itself where it is none of ours."""
    return next((known for known, names in _KEYWORDS.items() if name in names), name)


def split_of_folder(name: str) -> str | None:
    """The split that a keyword in the name of a folder says, as `load_dataset` finds it: `train2017`, `val_images`."""
    forms = ((split, form.format(word)) for split, words in _KEYWORDS.items() for word in words for form in _IN_FOLDER)
    return next((split for split, pattern in forms if re.fullmatch(pattern, name)), None)


def _splits(folder: Path, name: str | None) -> Splits:
    configs = _configs(folder)
    if configs:
        return _splits_of_config(folder, *_choose(configs, folder, name))
    if name is not None:
        raise DataError(
            f"{folder}: neither dataset_info.json nor configs in README.md to take "
            f"{shown(name)} from; leave the name out"
        )
    return _splits_by_name(folder)


def _splits_by_name(folder: Path) -> Splits:
    inside = _walk(folder)
    paths = {path: folder / path for path in inside}
    shards = {path: match[1] for path in inside if (match := _SHARD.fullmatch(path))}
    if shards:
        order = [split for split in _KEYWORDS if split in shards.values()]
        others = sorted(set(shards.values()) - set(order))
        return {split: [paths[path] for path in shards if shards[path] == split] for split in [*order, *others]}
    for in_folder in (True, False):
        named = {split: _with_keyword(inside, keywords, in_folder) for split, keywords in _KEYWORDS.items()}
        if any(named.values()):
            return {split: [paths[path] for path in found] for split, found in named.items() if found}
    return _unnamed(folder, list(paths.values()))


def _unnamed(folder: Path, files: list[Path]) -> Splits:
    """Files without a split in their name: all are `train`, but several JSON files side by side may be alternatives."""
    beside = [file for file in files if file.parent == folder]
    chosen = beside or files
    if len(beside) > 1 and any(file.suffix.lower() != ".parquet" for file in beside):
        raise DataError(
            f"{folder}: several data files ({_named(beside, folder)}) and none is named train*; point to one of them"
        )
    return {"train": chosen} if chosen else {}


def _walk(folder: Path) -> list[str]:
    """The data files in a folder and below, by their paths; what is hidden or begins with `__` is left out."""
    found = []
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        for name in files:
            path = Path(where, name)
            if _is_data(name) and name not in _IGNORED and path.is_file():
                found.append(path.relative_to(folder).as_posix())
    return sorted(found)


def _is_data(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def _with_keyword(paths: list[str], keywords: tuple[str, ...], in_folder: bool) -> list[str]:
    """The paths with one of the keywords in a folder, or else in the file's name, in the order of `load_dataset`."""
    found: dict[str, None] = {}
    for keyword in keywords:
        for form in _IN_FOLDER if in_folder else _IN_FILE:
            pattern = re.compile(form.format(keyword))
            for path in paths:
                *folders, file = path.split("/")
                if any(pattern.fullmatch(part) for part in (folders if in_folder else [file])):
                    found[path] = None
    return list(found)


def _configs(folder: Path) -> dict[str, Mapping[str, object]]:
    """The configurations in the header of README.md, by name."""
    header = _header(folder / "README.md")
    listed = header.get("configs") if isinstance(header, dict) else None
    if not listed:
        return {}
    if not isinstance(listed, list) or not all(
        isinstance(config, dict) and isinstance(config.get("config_name"), str) for config in listed
    ):
        raise DataError(f"{folder}/README.md: configs must be a list of entries with a config_name; correct the header")
    return {config["config_name"]: config for config in listed}


def _header(card: Path) -> object:
    """The YAML between the two `---` at the top of a dataset card; None without one."""
    import yaml

    if not card.is_file():
        return None
    with card.open("rb") as file:
        text = file.read(_MAX_CARD).decode("utf-8", errors="replace")
    match = re.match(r"\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(\r?\n|\Z)", text, re.DOTALL)
    try:
        return yaml.safe_load(match[1]) if match else None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{card}: its header is no YAML ({first_line(error)}); correct it") from None


def _choose(
    configs: Mapping[str, Mapping[str, object]], folder: Path, name: str | None
) -> tuple[str, Mapping[str, object]]:
    """The configuration that is asked for, else the only or default one."""
    by_default = [
        key for key, config in configs.items() if len(configs) == 1 or key == "default" or config.get("default")
    ]
    chosen = by_default[0] if name is None and by_default else name
    if chosen is None or chosen not in configs:
        asked = "which configuration?" if chosen is None else f"no configuration {shown(chosen)};"
        known = ", ".join(shown(key) for key in list(configs)[:20])
        raise DataError(f"{folder}/README.md: {asked} pass a name out of: {known}")
    return chosen, configs[chosen]


def _splits_of_config(folder: Path, name: str, config: Mapping[str, object]) -> Splits:
    where = f"{folder}/README.md, {shown(name)}"
    base = folder / _inside(config.get("data_dir") or ".", where)
    if not base.is_dir():
        raise DataError(f"{where}: no folder {shown(str(base))}; correct data_dir")
    if not config.get("data_files"):
        return _splits_by_name(base)
    splits = {}
    for split, patterns in _patterns(config["data_files"], where).items():
        files = list(dict.fromkeys(file for pattern in patterns for file in _matching(base, pattern, where)))
        usable = [file for file in files if _is_data(file.name)]
        if not usable:
            found = f"only {_named(files, folder)}" if files else "nothing"
            raise DataError(
                f"{where}, split {shown(split)}: {found} matches data_files; "
                f"give {', '.join(SUFFIXES)} files, or download them"
            )
        splits[split] = usable
    return splits


def _patterns(value: object, where: str) -> dict[str, list[str]]:
    """`data_files` by split: a pattern, a list of patterns, or a list of `{split, path}`."""
    listed = value if isinstance(value, list) else [value]
    by_split: dict[str, list[str]] = {}
    for item in listed:
        split, path = (item.get("split"), item.get("path")) if isinstance(item, dict) else ("train", item)
        paths = path if isinstance(path, list) else [path]
        texts = [pattern for pattern in paths if isinstance(pattern, str)]
        if not isinstance(split, str) or not texts or len(texts) < len(paths):
            raise DataError(f"{where}: data_files must be paths, or a split and a path each; correct the header")
        by_split.setdefault(split, []).extend(texts)
    return by_split


def _matching(base: Path, pattern: str, where: str) -> list[Path]:
    pattern = re.sub(r"(\*\*/)+", "**/", _inside(pattern, where))
    if len(pattern) > _MAX_PATTERN or pattern.count("**") > _MAX_DEEP:
        raise DataError(f"{where}: pattern {shown(pattern)} is too long or has many **; make it simpler")
    found = sorted(glob.glob(pattern, root_dir=base, recursive=True))
    named = PurePosixPath(pattern).name
    wanted = [path for path in found if Path(path).name not in _IGNORED - {named} and "__" not in _starts(path)]
    return [base / path for path in wanted if (base / path).is_file()]


def _starts(path: str) -> set[str]:
    return {part[:2] for part in Path(path).parent.parts}


def _inside(path: object, where: str) -> str:
    """A path of the card, if it stays in the folder; nothing is ever fetched."""
    if not isinstance(path, str) or "\0" in path or "://" in path or os.path.isabs(path) or ".." in Path(path).parts:
        raise DataError(
            f"{where}: {shown(path) if isinstance(path, str) else 'a path'} leaves the folder; correct the header"
        )
    return path


def _named(files: list[Path], folder: Path) -> str:
    names = [shown(file.relative_to(folder).as_posix())[1:-1] for file in files[:10]]
    return ", ".join(names) + (f" and {len(files) - 10} more" if len(files) > 10 else "")
