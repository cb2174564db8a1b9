"""The images of rows, beside the rows that were written again: under the names that the rows have for them."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from byorn.data.row import Row
from byorn.errors import DataError
from byorn.runs.progress import progress
from byorn.text import shown


def carry_images(rows: Iterable[Row], folder: Path, *, link: bool) -> int:
    """Put the images that rows name by a path into `folder`, each once; how many they are.

    Args:
        rows: Their images lie in the data folder, as they were read from there.
        folder: Of the rows that were written again.
        link: By a hard link where the disk can, which costs no room and changes with the original; else a copy.

    Raises:
        DataError: A name leads out of `folder`.
    """
    found = {image.name: image.path for row in rows for image in row.images if image.path and image.name}
    root = os.path.realpath(folder)
    with progress(len(found), "images", "image") as bar:
        for name, path in found.items():
            target = os.path.join(root, name)
            if not os.path.realpath(target).startswith(os.path.join(root, "")):
                raise DataError(f"image {shown(name)}: its name leads out of the data folder; use --images leave")
            os.makedirs(os.path.dirname(target), exist_ok=True)
            _put(path, target, link)
            bar.update()
    return len(found)


def _put(path: str, target: str, link: bool) -> None:
    if os.path.lexists(target):  # of the same call that was killed
        os.unlink(target)
    if link:
        try:
            os.link(path, target)
            return
        except OSError:  # another disk, or one without links
            pass
    shutil.copyfile(path, target)
