"""Image features in files, so that they outlive the run: the next one on the same images, by the same tower, reads
them, mapped into memory.

    folder/TOWER/NAME.safetensors     TOWER: `tower_digest`; NAME: one of its own

A file appears whole or not at all, and is never changed; so any number of processes read and write at once, and one
that is killed loses what it had not written yet. Features have a checksum: those that do not match it, and files that
are no such files, or that somebody cut short, are left alone, and their images are computed again. Once the folder is
full nothing is added.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import uuid4

from byorn.runs.atomic import atomic_path
from byorn.runs.narrate import say
from byorn.text import clip, first_line

GIGABYTE = 10**9
FILE = 128 * 10**6
"""Bytes from which on a file is written; until then features wait in memory."""
SUFFIX = ".safetensors"
Features = tuple[Any, ...]
"""Of one image: what the language model reads, [tokens, width] or [1, tokens, width], then what is added in its layers
(Qwen3-VL).
"""


@dataclass(frozen=True)
class FeatureStore:
    """A folder of features.

    Attributes:
        folder: Where they are. It need not exist.
        gigabytes: What it may hold, towers and all; each process that writes may exceed it by `FILE`.
        read_only: Nothing is added, as where a team shares the folder of one of them.
    """

    folder: Path
    gigabytes: float
    read_only: bool = False

    def of_tower(self, tower: str) -> "Shelf":
        """What there is of one tower, see `tower_digest`."""
        return Shelf(self, tower)

    def room(self) -> int:
        """Bytes that are left."""
        held = sum(_size(path) for path in self.folder.rglob("*"))
        return int(self.gigabytes * GIGABYTE) - held


@dataclass(frozen=True)
class _Place:
    """Where the features of an image are: an open file, its bytes then, how many tensors, their checksum."""

    path: Path
    file: Any
    size: int
    count: int
    checksum: str


class Shelf:
    """Features of one tower by image: what lay in its folder when it was opened, and what this process added."""

    def __init__(self, store: FeatureStore, tower: str) -> None:
        self._store = store
        self._tower = tower
        self._places: dict[str, _Place] = {}
        self._checked: set[str] = set()
        self._waiting: dict[str, Features] = {}
        self._bytes = 0
        self._room = store.room()
        self._open = not store.read_only
        for path in sorted((store.folder / tower).glob(f"*{SUFFIX}")):
            if path.is_file():  # a pipe would never be opened
                self._read_index(path)
        say(f"  feature_store: of this vision tower {len(self._places)} image(s) are in {store.folder}")

    def get(self, key: str) -> Features | None:
        """The features of an image, to be read and not to be written to; None if there are none that are whole."""
        if key in self._waiting:
            return self._waiting[key]
        place = self._places.get(key)
        if place is None:
            return None
        try:
            if _cut(place):
                raise ValueError("it was cut short")
            # copies: pages of a file that is cut short while they are used would end the process
            features = tuple(place.file.get_tensor(f"{key}.{number}").clone() for number in range(place.count))
            if key not in self._checked and _checksum(self._tower, key, features) != place.checksum:
                raise ValueError("it changed since it was written")
        except Exception as error:  # of a foreign file: what it lacks shows in every way there is
            self._forget(place, first_line(error))
            return None
        self._checked.add(key)
        return features

    def add(self, key: str, features: Features) -> None:
        """Keep the features of an image, tensors on the CPU, if there is room."""
        size = sum(part.nbytes for part in features)
        if not self._open:
            return
        if size > self._room:
            self._close(f"full ({self._store.gigabytes:g} GB)")
            return
        self._room -= size
        self._bytes += size
        self._waiting[key] = tuple(part.contiguous().clone() for part in features)  # a view would hold its whole batch
        if self._bytes >= FILE:
            self.write()

    def write(self) -> None:
        """Write what was added since the last time. A disk that takes no more ends the adding, and not the run."""
        waiting, self._waiting, self._bytes = self._waiting, {}, 0
        if not waiting:
            return
        path = self._store.folder / self._tower / f"{uuid4().hex}{SUFFIX}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, self._tower, waiting)
            self._room = self._store.room()
        except Exception as error:  # safetensors has errors of its own for a full disk
            self._close(f"not writable ({first_line(error)})")
            return
        self._read_index(path)

    def _read_index(self, path: Path) -> None:
        from safetensors import safe_open

        try:
            size = path.stat().st_size  # before safetensors compares it with the header
            file: Any = safe_open(path, "pt")
            for key, value in (file.metadata() or {}).items():
                count, checksum = value.split()
                self._places[key] = _Place(path, file, size, int(count), checksum)
        except OSError as error:  # another user's, or gone by now: nothing that anybody should delete
            why = error.strerror or first_line(error)
            say(f"  feature_store: {clip(str(path), 400)} cannot be read ({why}), and its images are computed again")
        except Exception as error:
            self._tell_damage(path, first_line(error))

    def _forget(self, place: _Place, why: str) -> None:
        """Trust nothing of a damaged file."""
        self._places = {key: kept for key, kept in self._places.items() if kept.path != place.path}
        self._tell_damage(place.path, why)

    def _tell_damage(self, path: Path, why: str) -> None:
        say(f"  feature_store: {clip(str(path), 400)} is damaged ({why}), and its images are computed again; delete it")

    def _close(self, why: str) -> None:
        self._open = False
        say(f"  feature_store: {self._store.folder} is {why}; nothing more is added")


def _write(path: Path, tower: str, features: dict[str, Features]) -> None:
    from safetensors.torch import save_file

    sums = {key: f"{len(parts)} {_checksum(tower, key, parts)}" for key, parts in features.items()}
    with atomic_path(path) as partial:
        partial.touch()
        mode = partial.stat().st_mode  # by the umask, as of any file; safetensors makes it its writer's alone
        save_file(dict(_named(features)), partial, metadata=sums)
        partial.chmod(mode)


def _named(features: dict[str, Features]) -> Iterator[tuple[str, Any]]:
    for key, parts in features.items():
        yield from ((f"{key}.{number}", part) for number, part in enumerate(parts))


def _checksum(tower: str, key: str, features: Features) -> str:
    """Of the bytes, of what they are, and of whose they are: a file that lies under another tower does not match."""
    import torch

    digest = blake2b(f"{tower} {key}".encode(), digest_size=16)
    for part in features:
        digest.update(f" {part.dtype} {tuple(part.shape)} ".encode())
        digest.update(part.contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _cut(place: _Place) -> bool:
    """Whether a file lost some of its bytes since it was opened; of one that was deleted the pages are still there."""
    try:
        return place.path.stat().st_size < place.size
    except OSError:
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:  # another process gave it its name just now
        return 0
