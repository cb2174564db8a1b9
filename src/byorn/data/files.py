"""Canonical rows -> a folder that any TRL script, and `load_rows`, can read.

`rows.jsonl` holds one row a line: `id`, `turn`, `prompt`, `completion`, `images` and the user's own columns.
"""

import json
import os
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

from byorn.data.images import image_identity
from byorn.data.pixels import open_image
from byorn.data.readers.columns import IMAGE_COLUMNS, MEDIA_COLUMNS, VERDICT_COLUMNS
from byorn.data.readers.trl import COLLIDING
from byorn.data.row import ImageFile, Row

ROWS_FILE = "rows.jsonl"
RESERVED = frozenset(
    {"id", "turn", "prompt", "completion", "messages", "tools", COLLIDING, *IMAGE_COLUMNS, *MEDIA_COLUMNS}
)


def write_rows(rows: Iterable[Row], folder: str | Path, *, image_root: str | Path | None = None) -> Path:
    """Write `rows.jsonl` into `folder` and returns its path.

    Image files are only referred to: by a path relative to `image_root` (default: `folder`) where they lie in it, else
    by an absolute path, and then `load_rows` needs an `image_root` that holds them. Images without a file, taken out of
    a table, are written to `folder/images/`. User columns whose name is taken go under `byorn_meta`.
    """
    target = Path(folder).resolve()
    target.mkdir(parents=True, exist_ok=True)
    root = Path(image_root).resolve() if image_root is not None else target
    unfinished = target / f"{ROWS_FILE}.part"
    # JSON reads the escape of a lone surrogate back, so nothing is lost where UTF-8 has no bytes for it.
    with unfinished.open("w", encoding="utf-8", errors="backslashreplace") as file:
        for row in rows:
            file.write(json.dumps(_record(row, target, root), ensure_ascii=False) + "\n")
    os.replace(unfinished, target / ROWS_FILE)
    return target / ROWS_FILE


def _record(row: Row, target: Path, root: Path) -> dict[str, object]:
    colliding = {key: value for key, value in row.meta.items() if _would_be_read(key, value)}
    return {
        "id": row.id,
        "turn": row.turn,
        "prompt": row.prompt,
        "completion": [{"role": "assistant", "content": [{"type": "text", "text": row.response}]}],
        "images": [_written(image, target, root) for image in row.images],
        **{key: value for key, value in row.meta.items() if key not in colliding},
        **({COLLIDING: colliding} if colliding else {}),
    }


def _would_be_read(key: str, value: object) -> bool:
    """Whether a user's column would be taken for one of ours, or for KTO's word that the response is a bad one."""
    return key in RESERVED or (key in VERDICT_COLUMNS and value is False)


def _written(image: ImageFile, target: Path, root: Path) -> str:
    """The path under which a row names an image."""
    path = Path(os.path.realpath(image.path)) if image.path is not None else _store(image, target / "images")
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _store(image: ImageFile, folder: Path) -> Path:
    """Write the bytes of an image once, under the digest of its content."""
    data = image.read()
    with open_image(BytesIO(data)) as opened:
        suffix = (opened.format or "image").lower()
    path = folder / f"{image_identity(image).removeprefix('bytes:')}.{suffix}"
    if not path.exists():
        folder.mkdir(exist_ok=True)
        path.write_bytes(data)
    return path
