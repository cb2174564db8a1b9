"""Rows that do not live in memory: an Arrow table in a temporary file that is mapped, and a `Row` made when it is read.

The system keeps in memory what is being read, and takes it back when it needs the room. The file has no name, so a
killed run leaves none; it lies where `TMPDIR` says. Encoded images that came out of a table lie in it too. A thousand
rows need no file.
"""

from __future__ import annotations

import json
import mmap
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import IO, TYPE_CHECKING, overload

from byorn.data.row import Block, ImageFile, Message, Origin, Row
from byorn.errors import DataError
from byorn.text import first_line

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 1024
"""Rows that are written together, or fewer where they hold more than `BYTES`."""
BYTES = 32 * 2**20
_encode = json.JSONEncoder(ensure_ascii=True).encode


class Rows(Sequence[Row]):
    """Rows in a table; see `RowWriter`. Equal to any sequence of equal rows.

    Attributes:
        table: `id`, `turn`, `prompt`, `response` and `images` as the data set for TRL has them, and what else a row is
            made of.
    """

    def __init__(self, table: pa.Table, sources: Sequence[str]) -> None:
        self.table = table
        self._sources = sources
        self._batches = table.to_batches()

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[Row]:
        for batch in self._batches:
            yield from _decoded(batch, self._sources)

    @overload
    def __getitem__(self, number: int) -> Row: ...
    @overload
    def __getitem__(self, number: slice) -> list[Row]: ...
    def __getitem__(self, number: int | slice) -> Row | list[Row]:
        if isinstance(number, slice):
            return [self[place] for place in range(*number.indices(len(self)))]
        place = range(len(self))[number]
        [batch] = self.table.slice(place, 1).to_batches()
        return next(_decoded(batch, self._sources))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(own == its for own, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as a list

    def __repr__(self) -> str:
        more = ", ..." if len(self) > 3 else ""
        return f"[{', '.join(map(repr, islice(self, 3)))}{more}]"


class RowWriter:
    """Takes rows one at a time and gives them back as `Rows`; what waits to be written is bounded.

    A context: its file is closed at the end, and lives on as a mapping.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._writer: pa.RecordBatchFileWriter | None = None
        self._sources: dict[str, int] = {}
        self._waiting: list[Row] = []
        self._bytes = 0

    def add(self, row: Row) -> None:
        """Keep a row.

        Raises:
            DataError: The disk is full.
        """
        self._waiting.append(row)
        self._bytes += size_of(row)
        if len(self._waiting) >= ROWS or self._bytes >= BYTES:
            self._write()

    def finish(self) -> Rows:
        """All rows that were added; the writer takes no more."""
        import pyarrow as pa

        if self._file is None or self._writer is None:
            return Rows(pa.Table.from_batches([self._batch()]), list(self._sources))
        self._write()
        with _room():
            self._writer.close()
            self._file.flush()
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        return Rows(pa.ipc.open_file(pa.py_buffer(mapped)).read_all(), list(self._sources))

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self) -> None:
        import pyarrow as pa

        batch = self._batch()
        with _room():
            if self._file is None or self._writer is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed in `__exit__`
                self._writer = pa.ipc.new_file(self._file, batch.schema)
            self._writer.write_batch(batch)

    def _batch(self) -> pa.RecordBatch:
        """The rows that wait, which are forgotten."""
        import pyarrow as pa

        rows = self._waiting
        self._waiting = []
        self._bytes = 0
        schema = _schema()
        columns = {
            "id": [row.id for row in rows],
            "turn": [row.turn for row in rows],
            "prompt": [row.prompt for row in rows],
            "response": [row.response for row in rows],
            "images": [[_as_written(image) for image in row.images] for row in rows],
            "names": [[_text_or_none(image.name) for image in row.images] for row in rows],
            "rest": [_rest(row) for row in rows],
            "source": [self._sources.setdefault(row.origin.source, len(self._sources)) for row in rows],
            "record": [row.origin.record for row in rows],
        }
        arrays = [pa.array(columns[field.name], field.type) for field in schema]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


def stored(rows: Iterable[Row]) -> Rows:
    """The rows, out of memory."""
    with RowWriter() as writer:
        for row in rows:
            writer.add(row)
        return writer.finish()


def keys_of(rows: Sequence[Row]) -> list[tuple[str, int]]:
    """The keys of rows; of stored ones nothing else is read."""
    if not isinstance(rows, Rows):
        return [row.key for row in rows]
    return list(zip(rows.table["id"].to_pylist(), rows.table["turn"].to_pylist(), strict=True))


def responses_of(rows: Sequence[Row]) -> list[str]:
    """The responses of rows; of stored ones nothing else is read."""
    if not isinstance(rows, Rows):
        return [row.response for row in rows]
    found: list[str] = rows.table["response"].to_pylist()
    return found


def size_of(row: Row) -> int:
    """About how many bytes the texts and images of a row take in memory."""
    texts = sum(len(block.get("text", "")) for message in row.prompt for block in message["content"])
    return len(row.response) + texts + sum(len(image.data) for image in row.images if image.data is not None)


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = tempfile.gettempdir()
        raise DataError(f"{where}: no room for the rows ({first_line(error)}); point TMPDIR to a larger disk") from None


def _schema() -> pa.Schema:
    import pyarrow as pa

    text = pa.string()
    block = pa.struct([("type", text), ("text", text)])
    message = pa.struct([("role", text), ("content", pa.list_(block))])
    image = pa.struct([("bytes", pa.binary()), ("path", text)])
    kinds = {
        "id": text, "turn": pa.int64(), "prompt": pa.list_(message), "response": text, "images": pa.list_(image),
        "names": pa.list_(text), "rest": text, "source": pa.int32(), "record": pa.int64(),
    }  # fmt: skip
    return pa.schema(list(kinds.items()))


def _as_written(image: ImageFile) -> dict[str, object]:
    """An image for the table; the bytes of one whose path no table can hold."""
    path = _text_or_none(image.path)
    data = image.read() if image.path is not None and path is None else image.data
    return {"bytes": data, "path": path}


def _text_or_none(name: str | None) -> str | None:
    """A name, unless it is none of Unicode, as names of files may be."""
    return name if name is None or name.isascii() or _is_unicode(name) else None


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _rest(row: Row) -> str:
    """JSON of what has no column: the user's own columns, and names that are not Unicode."""
    odd = any(_text_or_none(text) != text for image in row.images for text in (image.path, image.name))
    if not odd and not row.meta:
        return ""
    return _encode([row.meta, [[image.path, image.name] for image in row.images]] if odd else [row.meta])


def _decoded(batch: pa.RecordBatch, sources: Sequence[str]) -> Iterator[Row]:
    """The rows of a batch. Lists are taken apart as a whole: far quicker than value by value."""
    names = ("id", "turn", "response", "names", "rest", "source", "record")
    columns = [batch.column(name).to_pylist() for name in names]
    prompts = _prompts(batch.column("prompt"))
    images = _images(batch.column("images"))
    for name, turn, response, shown, rest, source, record in zip(*columns, strict=True):
        files = [ImageFile(path, data, label) for label, (path, data) in zip(shown, images, strict=False)]
        meta: dict[str, object] = {}
        if rest:
            meta, *odd = json.loads(rest)
            files = list(map(_renamed, files, odd[0])) if odd else files
        yield Row(name, turn, next(prompts), response, files, meta, Origin(sources[source], record))


def _renamed(image: ImageFile, names: tuple[str | None, str | None]) -> ImageFile:
    """The image with the path and the name that it had; the bytes of a file are in the table for the data set alone."""
    path, name = names
    return ImageFile(path, image.data if path is None else None, name)


def _prompts(column: pa.ListArray) -> Iterator[list[Message]]:
    import pyarrow.compute as pc

    messages = column.flatten()
    contents = messages.field("content")
    blocks = contents.flatten()
    parts = iter(zip(blocks.field("type").to_pylist(), blocks.field("text").to_pylist(), strict=True))
    sized = iter(zip(messages.field("role").to_pylist(), pc.list_value_length(contents).to_pylist(), strict=True))
    for count in pc.list_value_length(column).to_pylist():
        yield [
            {"role": role, "content": [_block(kind, text) for kind, text in islice(parts, blocks_of_it)]}
            for role, blocks_of_it in islice(sized, count)
        ]


def _block(kind: str, text: str | None) -> Block:
    return {"type": kind} if text is None else {"type": kind, "text": text}


def _images(column: pa.ListArray) -> Iterator[tuple[str | None, memoryview | None]]:
    """Path and bytes of all images, one after the other; the bytes stay where they are until somebody reads them."""
    images = column.flatten()
    data = images.field("bytes")
    paths = images.field("path").to_pylist()
    if data.null_count == len(data):
        yield from ((path, None) for path in paths)
    else:
        yield from zip(paths, map(_view, data), strict=True)


def _view(value: pa.BinaryScalar) -> memoryview | None:
    return memoryview(value.as_buffer()).cast("B").toreadonly() if value.is_valid else None
