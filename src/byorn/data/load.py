"""Any data set -> canonical rows, a list of the rows that cannot be used, and what was inferred on the way."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from byorn.data.canonical import Canonicalizer, user_id
from byorn.data.checks import TokenGuard
from byorn.data.fingerprint import fingerprint
from byorn.data.images import VERIFY_MODES, verify
from byorn.data.problem import RowProblem
from byorn.data.readers import READERS
from byorn.data.readers.columns import image_column
from byorn.data.readers.reader import Reader
from byorn.data.rejects import Reject, write_rejects
from byorn.data.row import Row
from byorn.data.sources import CONTAINERS, Source, open_source
from byorn.data.spec import DataSpec
from byorn.errors import ConfigError, DataError

__all__ = ["FORMATS", "LoadedRows", "Reject", "load_rows", "require_no_rejects", "write_rejects"]

FORMATS = ("auto", *READERS, *CONTAINERS)
_SAMPLE = 50


@dataclass(frozen=True)
class LoadedRows:
    """A data set that has been read and checked.

    Attributes:
        rows: The usable rows, in the order of the source.
        rejects: The records that were skipped, in the same order.
        notes: Each inferred value and each kind of change, once, with its reason or count.
        fingerprint: See `byorn.data.fingerprint`.
        records: For each row, the record that it comes from, counted from 0 in the source.
    """

    rows: list[Row]
    rejects: list[Reject]
    notes: list[str]
    fingerprint: str
    records: list[int]


def load_rows(
    source: str | Path | DataSpec,
    *,
    special_tokens: Collection[str] = (),
    verify_images: str = "decode",
    max_chars: int = 200_000,
    **options: Any,
) -> LoadedRows:
    """Reads a data set into canonical rows. A record that cannot be used is listed and skipped.

    Args:
        source: A file (JSON, JSONL, Parquet), a folder, a data set on the Hub (`owner/name` or `hub:owner/name`), or a `DataSpec`.
        special_tokens: The special tokens of the model, broken wherever they stand in text.
        verify_images: `decode` every pixel (finds truncated files), read the `header` only, or `none`.
        max_chars: Longest conversation in characters.
        **options: Fields of `DataSpec`, where `source` is none: `format`, `name`, `split`, `turns`, `image_root`, `limit`. Who reads for a model
            looks to `max_length` and `strict`.

    Raises:
        ConfigError: an option is wrong.
        DataError: the source cannot be read, its format is not known, or it holds no usable row.
    """
    spec = source if isinstance(source, DataSpec) else DataSpec(source=str(source), **options)
    if verify_images not in VERIFY_MODES:
        raise ConfigError(f"verify_images: unknown value {verify_images!r}; use one of {', '.join(VERIFY_MODES)}")
    opened = open_source(spec.source, spec.format, spec.name, spec.split)
    records, sample = _peek(opened.records)
    reader = _choose_reader(spec.format, opened, sample)
    _explain(reader, opened, sample, spec.image_root)
    roots = _roots(opened, spec.image_root)
    tally: Counter[str] = Counter()
    canonical = Canonicalizer(spec.turns, roots, TokenGuard(special_tokens), max_chars, tally)
    kept, rejects = _read(islice(records, spec.limit), reader, canonical)
    kept, unsound = _without_unsound_images(kept, verify_images)
    rejects = sorted(rejects + unsound, key=lambda reject: reject.index)
    rows = [row for _, of_record in kept for row in of_record]
    places = [index for index, of_record in kept for _ in of_record]
    if not rows:
        raise DataError(f"{opened.where}: {_why_empty(rejects)}")
    notes = opened.notes + [f"{count} {change}" for change, count in tally.items()]
    return LoadedRows(rows, rejects, notes, fingerprint(rows), places)


def require_no_rejects(loaded: LoadedRows) -> None:
    """Raises a `DataError` that counts the rejects and shows the first, if there are any: the strict mode."""
    if loaded.rejects:
        raise DataError(f"{len(loaded.rejects)} record(s) rejected, first: {loaded.rejects[0]}")


def _peek(records: Iterator[tuple[int, Any]]) -> tuple[Iterator[tuple[int, Any]], list[dict[str, Any]]]:
    """The records again, and the first well-formed ones."""
    first = list(islice(records, _SAMPLE))
    return chain(first, records), [record for _, record in first if isinstance(record, dict)]


def _choose_reader(format: str, opened: Source, sample: list[dict[str, Any]]) -> Reader:
    """The reader that the user or the source names, else the one that knows most of the sample."""
    if format in READERS:
        return READERS[format]
    keys = ", ".join(sorted({repr(key)[:60] for record in sample for key in record})[:30]) or "none"
    if format not in FORMATS:
        raise DataError(f"unknown format {format!r}; use one of {', '.join(FORMATS)} (columns found: {keys})")
    if opened.reader is not None:
        opened.notes.append(f"format: {opened.reader.name}, as dataset_info.json says")
        return opened.reader
    known = {reader.name: sum(reader.matches(record) for record in sample) for reader in READERS.values()}
    best = max(known, key=lambda name: known[name])
    if known[best] == 0:
        needs = "; ".join(f"{reader.name}: {reader.columns}" for reader in READERS.values())
        raise DataError(
            f"{opened.where}: no known format (columns found: {keys}); rename columns to fit one of {needs}"
        )
    note = f"format: {best}, as {known[best]} of the first {len(sample)} records have {READERS[best].columns}"
    opened.notes.append(f"{note} (columns found: {keys})")
    return READERS[best]


def _explain(reader: Reader, opened: Source, sample: list[dict[str, Any]], image_root: Path | None) -> None:
    """Notes what was made of the columns, by the first record that fits."""
    fitting = [record for record in sample if reader.matches(record)]
    if fitting and reader.explain is not None:
        opened.notes.append(reader.explain(fitting[0]))
    columns = dict.fromkeys(image_column(record) for record in sample)
    named = ", ".join(repr(column) for column in columns if column is not None)
    if named and image_root is None:
        opened.notes.append(f"images: column {named}; paths start at {opened.roots[0]}, as no image root is given")


def _roots(opened: Source, image_root: Path | None) -> list[Path]:
    if image_root is None:
        return opened.roots
    if not Path(image_root).is_dir():
        raise ConfigError(f"image_root: {image_root} is no folder; name the folder that the image paths start from")
    return [Path(image_root).resolve(), *opened.roots]


def _read(
    records: Iterable[tuple[int, Any]], reader: Reader, canonical: Canonicalizer
) -> tuple[list[tuple[int, list[Row]]], list[Reject]]:
    kept, rejects = [], []
    for index, record in records:
        try:
            kept.append((index, _rows_of(record, reader, canonical)))
        except RowProblem as problem:
            rejects.append(Reject.of(index, user_id(record.get("id")) if isinstance(record, dict) else None, problem))
    return kept, rejects


def _rows_of(record: Any, reader: Reader, canonical: Canonicalizer) -> list[Row]:
    if isinstance(record, RowProblem):
        raise record
    if not isinstance(record, dict):
        raise RowProblem("record", f"expected an object, got {type(record).__name__}", "give one object a row")
    try:
        return canonical.rows(reader.read(record))
    except RecursionError:
        raise RowProblem("record", "nested too deeply", "flatten it") from None


def _without_unsound_images(
    kept: list[tuple[int, list[Row]]], mode: str
) -> tuple[list[tuple[int, list[Row]]], list[Reject]]:
    """Drops every record with an image that cannot be used, whichever of its turns shows it."""
    problems = verify((image for _, rows in kept for row in rows for image in row.images), mode)
    sound, rejects = [], []
    for index, rows in kept:
        found = next((problems[image] for row in rows for image in row.images if image in problems), None)
        if found is None:
            sound.append((index, rows))
        else:
            rejects.append(Reject.of(index, rows[0].id, found))
    return sound, rejects


def _why_empty(rejects: list[Reject]) -> str:
    if not rejects:
        return "holds no records; point to the data"
    return f"none of its {len(rejects)} records can be used, first: {rejects[0]}"
