"""The settings of reading a data set."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from byorn.settings import check_settings, not_empty, positive, setting


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """Which rows, and how to read them."""

    source: str = setting(
        help="JSON, JSONL or Parquet file, folder, or hub name", option="data", metavar="PATH", check=not_empty
    )
    format: str = setting(
        "auto", help="layout of the rows: llava, sharegpt, alpaca, trl, ...; auto tells it from the content"
    )
    name: str | None = setting(
        None,
        help="entry, or entries joined by commas, of a LLaMA-Factory dataset_info.json, "
        "or configuration of a hub data set",
    )
    split: str = setting("train", help="split of a datasets folder or hub data set")
    turns: Literal["last", "all"] = setting(
        "last", help="which assistant turns of a conversation are scored and learned"
    )
    image_root: Path | None = setting(
        None, help="folder that image paths are relative to", metavar="DIR", shown="the folder of the data"
    )
    limit: int | None = setting(None, help="use the first N records only", metavar="N", check=positive, shown="all")
    strict: bool = setting(False, help="fail on the first record that cannot be used, instead of listing it")
    max_length: int | None = setting(
        None,
        help="reject longer rows; none is ever cut",
        metavar="TOKENS",
        check=positive,
        shown="the model's own limit",
    )

    def __post_init__(self) -> None:
        check_settings(self)
