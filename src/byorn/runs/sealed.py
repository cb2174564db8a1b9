"""Files that know when they were changed: a checksum in each line of a JSON-lines file, one for each column in the
metadata of a Parquet table.

They find damage (a flipped bit, a cut file, a slip in an editor), not an attacker, who would write another checksum.
What was written without checksums is read without: Parquet files lose them when a tool writes them anew.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from byorn.runs.atomic import atomic_path

CHECKSUM = "checksum"
"""The key of a line, or of a table's metadata, that holds BLAKE2b-64 in hex."""


def sealed_line(record: Mapping[str, object]) -> str:
    """A record as a line of JSON that ends in its checksum."""
    return json.dumps({**record, CHECKSUM: _digest(json.dumps(record))}) + "\n"


def opened_line(line: str | bytes) -> dict[str, object] | None:
    """The record of a whole line; None for any other."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or CHECKSUM not in record:
        return None
    checksum = record.pop(CHECKSUM)
    return record if checksum == _digest(json.dumps(record)) else None


def write_table(path: Path, table: pa.Table, metadata: Mapping[str, str] = {}, free: Collection[str] = ()) -> None:
    """Write a Parquet file with a checksum of its metadata and of each column but the `free` ones, which people may
    edit; it appears whole or not at all.
    """
    sums = dict(_checksums(table, metadata, free))
    sealed = table.replace_schema_metadata({**metadata, CHECKSUM: json.dumps(sums)})
    with atomic_path(path) as partial:
        pq.write_table(sealed, partial, write_page_checksum=True)


def read_table(path: Path, free: Collection[str] = ()) -> tuple[pa.Table, dict[str, str]]:
    """A Parquet file and its metadata.

    Raises:
        ValueError: A column or the metadata is not as it was written.
        OSError, pyarrow.ArrowException: It is no Parquet file.
    """
    table = pq.read_table(path, page_checksum_verification=True)
    held = table.schema.metadata or {}
    metadata = {key.decode(): value.decode() for key, value in held.items() if key != b"ARROW:schema"}
    written = json.loads(metadata.pop(CHECKSUM, "{}"))
    if not isinstance(written, dict):
        raise ValueError("its checksums changed since they were written")
    found = dict(_checksums(table, metadata, free))
    for name in [name for name, checksum in written.items() if found.get(name) != checksum]:
        happened = "changed" if name in found else "was lost"
        raise ValueError(f"{name or 'its metadata'} {happened} since it was written")
    return table, metadata


def replace_free_column(path: Path, name: str, values: Sequence[str]) -> None:
    """Put other values into a column that is under no checksum; nothing else is computed anew, so it is quick."""
    table = pq.read_table(path, page_checksum_verification=True)
    place = table.column_names.index(name)
    changed = table.set_column(place, name, pa.array(values, pa.string()))
    with atomic_path(path) as partial:
        pq.write_table(changed.replace_schema_metadata(table.schema.metadata), partial, write_page_checksum=True)


def _checksums(table: pa.Table, metadata: Mapping[str, str], free: Collection[str]) -> Iterator[tuple[str, str]]:
    """Column -> checksum of its values, empty for a free one; the metadata stand under the empty name."""
    own = {key: value for key, value in metadata.items() if key != "pandas"}
    yield "", _digest(json.dumps(own, sort_keys=True))
    for name in table.column_names:
        yield name, "" if name in free else _digest(json.dumps(list(map(_plain, table[name].to_pylist())), default=str))


def _plain(value: object) -> object:
    """A value, whatever type a table tool has made of it: numbers with a fraction, NaN of null."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return None if value != value else value


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()
