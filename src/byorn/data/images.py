"""An image as a row names it -> an `ImageFile` that may be opened.

A path must lead to a plain file inside one of the allowed folders after every link is resolved; URLs are never fetched.
Whether the bytes are a sound image is a second step (`verify`), because decoding is slow and one image often serves
many rows.
"""

import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from byorn.data.budget import Budget
from byorn.data.pixels import MAX_PIXELS, open_image, upright
from byorn.data.problem import RowProblem
from byorn.data.row import ImageFile
from byorn.text import shown

MAX_IMAGE_BYTES = 256 * 1024 * 1024
WHOLE = 64 * 1024
VERIFY_MODES = ("decode", "header", "none")
_URL = re.compile(r"\s*(data(?=:)|[a-z][a-z0-9+.-]+(?=://))", re.IGNORECASE)


def resolver() -> Callable[[str], str]:
    """`os.path.realpath` for many files of few folders, each of which is resolved once."""
    resolved = lru_cache(maxsize=1024)(os.path.realpath)

    def resolve(path: str) -> str:
        folder, name = os.path.split(path)
        full = os.path.join(resolved(folder), name)
        return os.path.realpath(path) if name in ("", ".", "..") or os.path.islink(full) else full

    return resolve


def find_image(value: object, roots: Sequence[Path], resolve: Callable[[str], str] = os.path.realpath) -> ImageFile:
    """The image that a row names by a path, by bytes or by `{"path": ..., "bytes": ...}` (bytes win, as in `datasets`).

    Args:
        value: What the row holds.
        roots: Resolved folders that images may lie in; a relative path starts at the first.
        resolve: Follows every link of a path; see `resolver`.

    Raises:
        RowProblem: a URL, a missing file, a path that leaves `roots`, an empty file, or something else altogether.
    """
    if isinstance(value, dict) and (value.get("url") or value.get("base64")):
        raise _remote("url" if value.get("url") else "base64")
    name, data = _path_and_bytes(value)
    if data is not None:
        if not data:
            raise RowProblem("images", "image has no bytes", "replace it")
        return ImageFile(data=data, name=os.path.basename(name) if name else None)
    if not name or not name.strip():
        raise RowProblem("images", f"expected a path or bytes, got {type(value).__name__}", "name an image file")
    return _file_inside(name, roots, resolve)


def image_identity(image: ImageFile) -> str:
    """What tells one image from another without opening files: the path as written, or a digest of the bytes."""
    if image.data is not None:
        return "bytes:" + blake2b(image.data, digest_size=16).hexdigest()
    return f"path:{image.name or image.path}"


def image_content(image: ImageFile) -> str:
    """What tells what one image shows from another, as a digest: of two files with the same bytes it is the same. Of a
    file over `WHOLE` bytes the size, the first and the last of them count; one that cannot be read counts by its path.
    """
    if image.data is not None or image.path is None:
        return image_identity(image)
    try:
        found = os.stat(image.path)
        return _content_of(image.path, found.st_size, found.st_mtime_ns)
    except OSError:
        return image_identity(image)


@lru_cache(maxsize=1 << 20)
def _content_of(path: str, size: int, changed: int) -> str:
    with open(path, "rb") as file:
        content = file.read(WHOLE)
        if size > WHOLE:
            file.seek(-WHOLE, os.SEEK_END)
            content += file.read(WHOLE)
    return f"content:{size}:{blake2b(content, digest_size=16).hexdigest()}"


def verify(images: Iterable[ImageFile], mode: str) -> dict[ImageFile, RowProblem]:
    """The images that cannot be used, with what is wrong; see `Verifier`."""
    with Verifier(mode) as verifier:
        return verifier.problems(images)


class Verifier:
    """Finds the images that cannot be used, each looked at once however often it comes.

    `decode` decodes every pixel, which alone finds a truncated file; `header` reads format and size; `none` trusts the
    data set. However many threads there are, they hold one file of `MAX_IMAGE_BYTES` and one image of `MAX_PIXELS`
    together, or smaller ones that come to as much. Of an image that was looked at, its hash is kept.
    """

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._known: dict[int, RowProblem | None] = {}
        self._encoded = Budget(MAX_IMAGE_BYTES)
        self._decoded = Budget(MAX_PIXELS)
        self._pool = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1))

    def problems(self, images: Iterable[ImageFile]) -> dict[ImageFile, RowProblem]:
        """What is wrong with those of the images that cannot be used."""
        if self._mode == "none":
            return {}
        distinct = list(dict.fromkeys(images))
        new = [image for image in distinct if hash(image) not in self._known]
        for image, problem in zip(new, self._pool.map(self._problem_of, new), strict=True):
            self._known[hash(image)] = problem
        found = ((image, self._known[hash(image)]) for image in distinct)
        return {image: problem for image, problem in found if problem is not None}

    def _problem_of(self, image: ImageFile) -> RowProblem | None:
        return _problem_of(image, self._mode, self._encoded, self._decoded)

    def __enter__(self) -> "Verifier":
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)


def _path_and_bytes(value: object) -> tuple[str | None, bytes | None]:
    if isinstance(value, dict):
        path = value.get("path")
        data = value.get("bytes")
    else:
        path = value
        data = value
    as_bytes = bytes(data) if isinstance(data, bytes | bytearray) else None
    return (os.fspath(path) if isinstance(path, str | Path) else None), as_bytes


def _file_inside(name: str, roots: Sequence[Path], resolve: Callable[[str], str]) -> ImageFile:
    if match := _URL.match(name):
        raise _remote(match[1])
    try:
        full = resolve(os.path.join(roots[0], name))
        inside = next((root for root in roots if _is_inside(full, root)), None)
        if inside is None:
            raise RowProblem(
                "images", f"{shown(name)} leaves the data folder", "move it there, or pass its folder as image root"
            )
        status = os.stat(os.path.join(roots[0], name))  # as it is written: `a.png/` is no file
    except (OSError, ValueError):
        raise RowProblem(
            "images", f"no such file {shown(name)} in {roots[0]}", "correct the path or the image root"
        ) from None
    _check_status(name, status)
    # An absolute path differs between machines, its place in the data folder does not.
    written = Path(full).relative_to(inside).as_posix() if os.path.isabs(name) else name
    return ImageFile(path=full, name=written)


def _check_status(name: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise RowProblem("images", f"{shown(name)} is not a plain file", "name an image file")
    if status.st_size == 0:
        raise RowProblem("images", f"{shown(name)} is empty", "replace it")
    if status.st_size > MAX_IMAGE_BYTES:
        raise RowProblem(
            "images", f"{shown(name)} is over the limit MAX_IMAGE_BYTES = {MAX_IMAGE_BYTES}", "make it smaller"
        )


def _is_inside(path: str, root: Path) -> bool:
    return path.startswith(os.path.join(root, ""))


def _remote(kind: str) -> RowProblem:
    return RowProblem("images", f"image is given as {kind}:, which is never fetched", "download the images first")


def _problem_of(image: ImageFile, mode: str, encoded: Budget, decoded: Budget) -> RowProblem | None:
    try:
        with image.open() as stream, encoded.hold(_size_of(stream)), open_image(stream) as opened:
            if mode == "decode":
                with decoded.hold(opened.width * opened.height):
                    upright(opened)
                    opened.close()  # its pixels are let go before the next image's are made
    except RowProblem as problem:
        name = f"{shown(image.name)}: " if image.name else ""
        return RowProblem(problem.field, name + problem.reason, problem.fix)
    except OSError:
        return RowProblem("images", f"cannot open {shown(image.name)}", "check the file and its rights")
    return None


def _size_of(stream: BinaryIO) -> int:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return size
