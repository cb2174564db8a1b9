"""Where a file lies in a folder, in a name that leads nowhere else: a data set names its files itself, and `..` in such
a name leads out of whatever folder it is joined to.
"""

import os
from pathlib import Path

from byorn.errors import DataError
from byorn.text import shown


def name_inside(file: Path, folder: Path) -> str:
    """The name of a file relative to its folder, without `..`.

    Raises:
        DataError: It lies elsewhere.
    """
    for plain in (os.path.abspath, os.path.realpath):  # as it is written, else where its links lead
        path, root = Path(plain(file)), plain(folder)
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    raise DataError(f"{shown(str(file))} lies outside {folder}; move it there")
