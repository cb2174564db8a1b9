"""The data set's own columns (source, uploader, date) in a sheet: who decides wants to know where a row comes from.

They stand behind the columns of the sheet, under a name that none of those has, `data.uploader`; the import leaves them
alone. Names and values are foreign text: names lose what could end a cell, and both are bounded.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from byorn.data.row import Row

MOST = 20
"""Columns, those that most rows have first."""
LONGEST = 200
"""Characters of a value, more of which are cut; a name has 60."""
_UNSAFE = re.compile(r"[^\w .-]+")


def own_columns(rows: Iterable[Row]) -> dict[str, str]:
    """What the columns of the rows are called in a sheet, by their name; those without any value are left out."""
    names = Counter(name for row in rows for name, value in row.meta.items() if value not in (None, ""))
    return {name: f"data.{_UNSAFE.sub('_', name)[:60]}" for name, _ in names.most_common(MOST)}


def own_values(meta: Mapping[str, object], columns: Iterable[str]) -> list[str]:
    """The values of a row as text, lists and objects as JSON; empty where it has none."""
    return [_as_text(meta.get(name)) for name in columns]


def _as_text(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
