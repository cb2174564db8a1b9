"""Tables: Parquet files, and the Arrow files of `save_to_disk`. Schema, values and order stay."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byorn.data.inside import name_inside
from byorn.data.records import read_json
from byorn.data.tables import saved_files, sound_batches
from byorn.rewriting.edit import Edit, Edits, Job
from byorn.runs.atomic import atomic_path

if TYPE_CHECKING:
    import pyarrow as pa

_FEATURES = b"huggingface"  # under which `datasets` keeps its types in the metadata of a schema


def rewrite_parquet(job: Job) -> None:
    """A Parquet file, one row group at a time, compressed as it was."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(job.source) as file, ExitStack() as stack:
        schema = marked_schema(file.schema_arrow, job.edits)
        codec = _codec(file.metadata)
        writers = {}
        for path, keep in job.wanted():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = stack.enter_context(atomic_path(path))
            writers[keep] = stack.enter_context(
                pq.ParquetWriter(partial, schema if keep else file.schema_arrow, compression=codec)
            )
        first = 0
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            for keep, writer in writers.items():
                chosen = _selected(table, first, job, keep)
                if chosen.num_rows:
                    writer.write_table(chosen)
            first += table.num_rows


def _codec(metadata: Any) -> str:
    """The compression of a Parquet file, by its first column."""
    if not metadata.num_row_groups or not metadata.num_columns:
        return "snappy"
    codec = str(metadata.row_group(0).column(0).compression).lower()
    return "none" if codec == "uncompressed" else codec


def rewrite_saved(job: Job) -> None:
    """A folder that `save_to_disk` wrote; `job.kept` and `job.quarantined` are such folders."""
    for folder, keep in job.wanted():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _rewrite_files(job, folder, keep)
        _write_description(job, folder, keep)


def _rewrite_files(job: Job, folder: Path, keep: bool) -> None:
    import pyarrow as pa

    first = 0
    for file in saved_files(job.source):
        with pa.OSFile(str(file)) as stream:
            plain = pa.ipc.open_stream(stream).schema
        schema = marked_schema(plain, job.edits) if keep else plain
        target = folder / name_inside(file, job.source)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as partial, pa.ipc.new_stream(str(partial), schema) as writer:
            for batch in sound_batches(file):
                chosen = _selected(pa.Table.from_batches([batch]), first, job, keep)
                if chosen.num_rows:
                    writer.write_table(chosen.cast(schema) if chosen.schema != schema else chosen)
                first += batch.num_rows


def _write_description(job: Job, folder: Path, keep: bool) -> None:
    """`state.json` with a fingerprint of its own, by which `datasets` caches, and `dataset_info.json`."""
    state = read_json(job.source / "state.json")
    assert isinstance(state, dict)
    told = repr((state.get("_fingerprint"), keep, sorted(job.edits.items())))
    state["_fingerprint"] = blake2b(told.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()
    marks = marks_of(job.edits) if keep else {}
    if isinstance(shown := state.get("_format_columns"), list):  # `datasets` would hide all others
        state["_format_columns"] = [*shown, *(name for name in marks if name not in shown)]
    (folder / "state.json").write_text(json.dumps(state, indent=2, sort_keys=True), encoding="utf-8")
    info = read_json(job.source / "dataset_info.json") if (job.source / "dataset_info.json").is_file() else {}
    assert isinstance(info, dict)
    features = info.get("features")
    if keep and isinstance(features, dict):
        info["features"] = {**features, **_features(marks)}
    (folder / "dataset_info.json").write_text(json.dumps(info, indent=2, sort_keys=True), encoding="utf-8")


def marks_of(edits: Edits) -> dict[str, type]:
    """The columns that are added, with the type of their values."""
    kinds: dict[str, type] = {}
    for edit in edits.values():
        for name, value in edit.marks.items():
            kinds[name] = type(value) if value is not None else kinds.get(name, float)
    return kinds


def marked_schema(schema: pa.Schema, edits: Edits) -> pa.Schema:
    """The schema with the columns that are added, also among the types that `datasets` keeps in it."""
    import pyarrow as pa

    marks = marks_of(edits)
    metadata = dict(schema.metadata or {})
    for name, kind in marks.items():
        field = pa.field(name, pa.bool_() if kind is bool else pa.float64())
        place = schema.get_field_index(name)
        schema = schema.set(place, field) if place >= 0 else schema.append(field)
    if marks and _FEATURES in metadata:
        metadata[_FEATURES] = _with_features(metadata[_FEATURES], marks)
    return schema.with_metadata(metadata or None)


def _with_features(held: bytes, marks: Mapping[str, type]) -> bytes:
    described = json.loads(held)
    info = described.get("info") if isinstance(described, dict) else None
    if isinstance(info, dict) and isinstance(info.get("features"), dict):
        info["features"] |= _features(marks)
    return json.dumps(described).encode()


def _features(marks: Mapping[str, type]) -> dict[str, object]:
    return {name: {"dtype": "bool" if kind is bool else "float64", "_type": "Value"} for name, kind in marks.items()}


def _selected(table: pa.Table, first: int, job: Job, keep: bool) -> pa.Table:
    """The rows of a table that stay, or those that go, with their changes; `first` is the number of its first row."""
    import pyarrow as pa

    if keep:
        edits = [job.edits.get(first + place) for place in range(table.num_rows)]
        table = _marked(_answered(table, edits, job), edits, job)
    return table.filter(pa.array([job.goes(first + place, keep) for place in range(table.num_rows)], pa.bool_()))


def _answered(table: pa.Table, edits: list[Edit | None], job: Job) -> pa.Table:
    """The table with new responses; a column that none of them stands in is the same column."""
    import pyarrow as pa

    values: dict[str, dict[int, object]] = {}
    for place, edit in enumerate(edits):
        if edit is not None and edit.keep and edit.responses:
            record = table.slice(place, 1).to_pylist()[0]
            answered = job.answer(record, edit.responses)
            for name in (name for name in answered if answered[name] is not record[name]):
                values.setdefault(name, {})[place] = answered[name]
    for name, new in values.items():
        column = [new.get(place, value) for place, value in enumerate(table[name].to_pylist())]
        position = table.column_names.index(name)
        field = table.schema.field(position)
        table = table.set_column(position, field, pa.array(column, field.type))
    return table


def _marked(table: pa.Table, edits: Iterable[Edit | None], job: Job) -> pa.Table:
    import pyarrow as pa

    schema = marked_schema(table.schema, job.edits)
    found = list(edits)
    for name in marks_of(job.edits):
        column = [edit.marks.get(name) if edit is not None else None for edit in found]
        field = schema.field(name)
        place = table.schema.get_field_index(name)
        array = pa.array(column, field.type)
        table = table.set_column(place, field, array) if place >= 0 else table.append_column(field, array)
    return table.replace_schema_metadata(schema.metadata)
