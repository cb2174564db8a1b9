"""Any data set -> canonical rows, a list of the rows that cannot be used, and what was inferred on the way."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from byorn.data.canonical import EARLIER, Canonicalizer, user_id
from byorn.data.checks import TokenGuard
from byorn.data.conversation import Conversation
from byorn.data.fingerprint import Fingerprint
from byorn.data.images import VERIFY_MODES, Verifier
from byorn.data.opened import Source
from byorn.data.problem import RowProblem
from byorn.data.readers import READERS
from byorn.data.readers.columns import Record, image_column, images_in
from byorn.data.readers.reader import Reader
from byorn.data.rejects import NothingUsable, Reject
from byorn.data.row import ImageFile, Origin, Row
from byorn.data.sources import CONTAINERS, open_source
from byorn.data.spec import DataSpec
from byorn.data.stored import BYTES, ROWS, RowWriter, size_of
from byorn.errors import ConfigError, DataError, one_line
from byorn.text import shown

FORMATS = ("auto", *READERS, *CONTAINERS)
Outcome = list[Row] | Reject
_SAMPLE = 50
_warn = logging.getLogger(__name__).warning


@dataclass(frozen=True)
class Part:
    """A source that has been read: its files, the reader of its records, and the folders of its images."""

    source: Source
    reader: Reader
    roots: list[Path]


@dataclass(frozen=True)
class LoadedRows:
    """A data set that has been read and checked.

    Attributes:
        rows: The usable rows, in the order of the source; `origin` says which record each comes from.
        rejects: The records that were skipped, in the same order.
        notes: Each inferred value and each kind of change, once, with its reason or count.
        fingerprint: See `byorn.data.fingerprint`.
        parts: Where they were read from, one for each source, and how.
        earlier: How many answers of conversations are context alone, as only the last one is taken.
    """

    rows: Sequence[Row]
    rejects: list[Reject]
    notes: list[str]
    fingerprint: str
    parts: list[Part] = field(default_factory=list)
    earlier: int = 0


def load_rows(
    source: str | Path | DataSpec,
    *,
    special_tokens: Collection[str] = (),
    verify_images: str = "decode",
    max_chars: int = 200_000,
    notify: Callable[[str], None] = _warn,
    **options: Any,
) -> LoadedRows:
    """Read a data set into canonical rows. A record that cannot be used is listed and skipped.

    Args:
        source: A file (JSON, JSONL, Parquet), a folder, a data set on the Hub (`owner/name` or `hub:owner/name`), or a
            `DataSpec`.
        special_tokens: The special tokens of the model, broken wherever they stand in text.
        verify_images: `decode` every pixel (finds truncated files), read the `header` only, or `none`.
        max_chars: Longest conversation in characters.
        notify: Called with one line before the Hub is asked; by default it is logged as a warning.
        **options: Fields of `DataSpec`, where `source` is none: `format`, `name`, `split`, `turns`, `image_root`,
            `limit`. Who reads for a model looks to `max_length` and `strict`.

    Raises:
        ConfigError: An option is wrong.
        NothingUsable: Every record was rejected; the error holds the rejects.
        DataError: The source cannot be read, its format is not known, or it holds no record.
    """
    spec = source if isinstance(source, DataSpec) else DataSpec(source=str(source), **options)
    if verify_images not in VERIFY_MODES:
        raise ConfigError(f"verify_images: unknown value {verify_images!r}; use one of {', '.join(VERIFY_MODES)}")
    tally: Counter[str] = Counter()
    canonical = Canonicalizer(spec.turns, TokenGuard(special_tokens), max_chars, tally)
    opened = open_source(spec.source, spec.format, spec.name, spec.split, notify)
    parts: list[Part] = []
    outcomes = chain.from_iterable(_read_source(part, spec, canonical, parts) for part in opened)
    found = Fingerprint()
    rejects: list[Reject] = []
    with RowWriter() as kept, Verifier(verify_images) as verifier:
        for outcome in _sound(islice(outcomes, spec.limit), verifier):
            if isinstance(outcome, Reject):
                rejects.append(outcome)
                continue
            for row in outcome:
                found.add(row)
                kept.add(row)
        rows = kept.finish()
    if not rows:
        raise _nothing_in(opened[0].where if len(opened) == 1 else spec.source, rejects)
    notes = [note for part in opened for note in part.notes] + [f"{count} {change}" for change, count in tally.items()]
    return LoadedRows(rows, rejects, [one_line(note) for note in notes], found.hexdigest(), parts, tally[EARLIER])


def require_no_rejects(loaded: LoadedRows) -> None:
    """Raise a `DataError` that counts the rejects and shows the first, if there are any: the strict mode."""
    if loaded.rejects:
        raise DataError(f"{len(loaded.rejects)} record(s) rejected, first: {loaded.rejects[0]}")


def _read_source(opened: Source, spec: DataSpec, canonical: Canonicalizer, parts: list[Part]) -> Iterator[Outcome]:
    """The rows of each record of one source, or its reject; `parts` grows by the source."""
    first = list(islice(opened.records, _SAMPLE))
    sample = [record for _, record in first if isinstance(record, dict)]
    reader = _choose_reader(spec.format, opened, first, sample)
    _explain(reader, opened, sample, spec.image_root)
    roots = _roots(opened, spec.image_root)
    parts.append(Part(opened, reader, roots))
    for origin, record in chain(first, opened.records):
        yield _outcome(origin, record, reader, canonical, roots)


def _choose_reader(
    format: str, opened: Source, first: Sequence[tuple[Origin, object]], sample: Sequence[Record]
) -> Reader:
    """The reader that the user or the source names, else the one that knows most of the sample."""
    if format in READERS:
        return READERS[format]
    keys = ", ".join(sorted({shown(key) for record in sample for key in record})[:30]) or "none"
    if format not in FORMATS:
        raise DataError(f"unknown format {shown(format)}; use one of {', '.join(FORMATS)} (columns found: {keys})")
    if opened.reader is not None:
        opened.notes.append(f"format: {opened.reader.name}, as dataset_info.json says")
        return opened.reader
    if not sample:
        raise DataError(f"{opened.where}: {_why_unreadable(first)}")
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


def _explain(reader: Reader, opened: Source, sample: Sequence[Record], image_root: Path | None) -> None:
    """Note what was made of the columns, by the first record that fits."""
    fitting = [record for record in sample if reader.matches(record)]
    if fitting and reader.explain is not None:
        opened.notes.append(reader.explain(fitting[0]))
    images = {column: images_in(record, column) for record in sample if (column := image_column(record))}
    if images:
        paths = any(
            not (isinstance(image, dict) and image.get("bytes")) for given in images.values() for image in given
        )
        start = f"; paths start at {opened.roots[0]}, as no image root is given" if paths and image_root is None else ""
        opened.notes.append(f"images: column {', '.join(map(repr, images))}{start}")


def _roots(opened: Source, image_root: Path | None) -> list[Path]:
    if image_root is None:
        return opened.roots
    if not Path(image_root).is_dir():
        raise ConfigError(f"image_root: {image_root} is no folder; name the folder that the image paths start from")
    return [Path(image_root).resolve(), *opened.roots]


def _outcome(
    origin: Origin, record: object, reader: Reader, canonical: Canonicalizer, roots: Sequence[Path]
) -> Outcome:
    try:
        return canonical.rows(_conversation(record, reader), roots, origin)
    except RowProblem as problem:
        return Reject.of(origin, user_id(record.get("id")) if isinstance(record, dict) else None, problem)
    except RecursionError:
        return Reject.of(origin, None, RowProblem("record", "nested too deeply", "flatten it"))


def _conversation(record: object, reader: Reader) -> Conversation:
    if isinstance(record, RowProblem):
        raise record
    if not isinstance(record, dict):
        raise RowProblem("record", f"expected an object, got {type(record).__name__}", "give one object a row")
    return reader.read(record)


def _sound(outcomes: Iterable[Outcome], verifier: Verifier) -> Iterator[Outcome]:
    """The outcomes, a reject for every record with an image that cannot be used, whichever of its turns shows it.

    Images are looked at a window of records at a time, so that they can be decoded side by side.
    """
    for window in _windows(outcomes):
        used = [rows for rows in window if not isinstance(rows, Reject)]
        problems = verifier.problems(image for rows in used for row in rows for image in row.images)
        yield from (outcome if isinstance(outcome, Reject) else _checked(outcome, problems) for outcome in window)


def _windows(outcomes: Iterable[Outcome]) -> Iterator[list[Outcome]]:
    window: list[Outcome] = []
    held = 0
    for outcome in outcomes:
        window.append(outcome)
        held += 0 if isinstance(outcome, Reject) else sum(map(size_of, outcome))
        if len(window) >= ROWS or held >= BYTES:
            yield window
            window = []
            held = 0
    yield window


def _checked(rows: list[Row], problems: Mapping[ImageFile, RowProblem]) -> Outcome:
    found = next((problems[image] for row in rows for image in row.images if image in problems), None)
    return rows if found is None else Reject.of(rows[0].origin, rows[0].id, found)


def _why_unreadable(records: Sequence[tuple[Origin, object]]) -> str:
    """Why none of the first records is an object with columns."""
    if not records:
        return "holds no records; point to the data"
    origin, record = records[0]
    if isinstance(record, RowProblem):
        return f"none of its first {len(records)} records can be read, first: record {origin.record}, {record}"
    return (
        f"none of its first {len(records)} records is an object with columns, the first is of type "
        f"{type(record).__name__}; give one object a row"
    )


def _nothing_in(where: str, rejects: Sequence[Reject]) -> DataError:
    if not rejects:
        return DataError(f"{where}: holds no records; point to the data")
    return NothingUsable(f"{where}: none of its {len(rejects)} records can be used, first: {rejects[0]}", rejects)
