"""`byorn rewrite`: the data set again, in the format in which it came, without what a scan flagged.

    out/data/          the data set: point any trainer to it
    out/quarantine/    what was taken out, in the same format, unchanged
    out/rewrite.json   what was done to which data, by which scan and model
    out/rejects.jsonl  records that could not be read or scored; they are in neither

The unit is the record: a conversation of which one turn is to go, goes.
"""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from byorn.data.opened import DataFile
from byorn.data.row import Origin
from byorn.data.spec import DataSpec
from byorn.errors import DataError
from byorn.models.spec import ModelSpec
from byorn.pipeline.edits import FLAGGED, edits_of, goes, refused
from byorn.pipeline.read_back import read_back
from byorn.pipeline.replacements import RESPONSES, require_sampler, sample_replacements
from byorn.pipeline.rewritten import DATA, QUARANTINE, Rewritten, tell, warn_of_split
from byorn.pipeline.scanned import Scanned, open_recorded, open_scanned, require_files
from byorn.pipeline.settings.rewrite import RewriteSpec, refuse_sampling
from byorn.rewriting.edit import Edit, Job
from byorn.rewriting.files import rewrite as rewrite_file
from byorn.rewriting.hub import with_files
from byorn.rewriting.images import carry_images
from byorn.runs.alone import alone
from byorn.runs.folder import (
    make_folder,
    read_json,
    require_apart,
    require_ours,
    same_config,
    sha256_of,
    versions,
    write_config,
    write_json,
)
from byorn.runs.narrate import say
from byorn.runs.progress import progress
from byorn.runs.stage import Record
from byorn.text import shown
from byorn.training.settings import ResponseSettings

SUMMARY = "rewrite.json"
HUB = "hub"
"""Where records of the Hub lie while they are written again."""


def rewrite(
    run: Path,
    data: DataSpec,
    model: ModelSpec,
    out: Path,
    spec: RewriteSpec,
    responses: ResponseSettings | None = None,
) -> Rewritten:
    """Write the data set of the scan in `run` again, into `out`. The same call goes on with one that was killed.

    Args:
        run: Folder of a scan, or of a training that scanned; reviews in its `flags.parquet` win over the rule.
        data, model: What was scanned (`values_of_run`); only `replace` asks the model.
        out: Folder to write, new or of the same call.
        spec: What becomes of flagged rows.
        responses: How new ones are sampled, and by what.

    Raises:
        ByornError: Data or model are not those of the scan, `out` is in use or another run at work there, the engine
            cannot be had, or nothing would be left.
    """
    responses = responses or ResponseSettings()
    refuse_sampling(spec.mode, responses, [item.name for item in fields(responses)])
    require_ours(out, "rewrite", alone=True)
    require_apart(out, data.source)
    if not _sampled(out):  # what is done wants no engine, and may have been done where there was one
        require_sampler(spec, model, responses)
    make_folder(out)
    with alone(out):
        return _rewritten(run, data, model, out, spec, responses)


def _rewritten(
    run: Path, data: DataSpec, model: ModelSpec, out: Path, spec: RewriteSpec, responses: ResponseSettings
) -> Rewritten:
    """What `rewrite` does in a folder that is its own."""
    begun = (out / "config.yaml").exists()
    scanned = (open_scanned if spec.mode == "replace" else open_recorded)(run, data, model, out)
    require_files(scanned.loaded)
    warn_of_split(data, list(_files(scanned)))
    settings = {
        "command": "rewrite",
        "run": str(run),
        "decisions": _digest_of(scanned),
        "data": asdict(data),
        "model": asdict(model),
        "rewrite": asdict(spec),
        "responses": asdict(responses),
    }
    if begun and (finished := _finished(out, settings)):
        return finished
    write_config(out, settings)
    new = sample_replacements(scanned, model, out, spec, responses) if spec.mode == "replace" else {}
    edits = edits_of(scanned, spec.mode, new)
    staged = out / HUB
    try:
        located = replace(scanned, loaded=with_files(scanned.loaded, staged))
        return _write(located, edits, new, data, out, spec, responses)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _sampled(out: Path) -> bool:
    """Whether an earlier call came to its end, or as far as its last response."""
    return (out / SUMMARY).exists() or (out / RESPONSES).exists()


def _finished(out: Path, settings: dict[str, Any]) -> Rewritten | None:
    """What an earlier call came to, if it ended.

    Raises:
        MismatchError: It had other settings.
    """
    same_config(out, settings)
    if (found := read_json(out / SUMMARY)) is None:
        return None
    say(f"finished before: {out / DATA}; nothing to do (another rewriting wants another --out)")
    return Rewritten(**found["counts"])


def _digest_of(scanned: Scanned) -> str:
    """A short hash of who is flagged, after review: what was begun is not to be finished with other decisions."""
    flags = scanned.flags
    return hashlib.blake2b(flags.replaced.tobytes() + flags.dropped.tobytes(), digest_size=8).hexdigest()


def _write(
    scanned: Scanned,
    edits: Mapping[Origin, Edit],
    new: Mapping[int, Record],
    data: DataSpec,
    out: Path,
    spec: RewriteSpec,
    responses: ResponseSettings,
) -> Rewritten:
    if not any(edit.keep for edit in edits.values()):
        raise DataError("every record would go to the quarantine; flag fewer, or use --mode replace")
    jobs = list(_jobs(scanned, edits, out))
    with progress(len(jobs), "writing", "file") as bar:
        for job in jobs:
            rewrite_file(job)
            bar.update()
    _describe(scanned, out)
    on_hub = {part.source.hub.source for part in scanned.loaded.parts if part.source.hub}
    if data.image_root is None and spec.images != "leave":
        for folder, keep in ((DATA, True), (QUARANTINE, False)):
            chosen = [row for row in scanned.rows if goes(edits, row, keep) and row.origin.source not in on_hub]
            carry_images(chosen, out / folder, link=spec.images == "link")
    result = _counted(scanned, edits, new, spec.mode)
    sampled = {"response_engine": responses.response_engine if new else None}
    write_json(out / SUMMARY, _provenance(scanned, data, out, spec, jobs, result) | sampled)
    tell(result, out)
    if not on_hub:
        read_back(data, out / DATA, images_left=spec.images == "leave")
    return result


def _counted(scanned: Scanned, edits: Mapping[Origin, Edit], new: Mapping[int, Record], mode: str) -> Rewritten:
    """What was written, in numbers."""
    kept = [edit for edit in edits.values() if edit.keep]
    used = [record for number, record in new.items() if goes(edits, scanned.rows[number], True)]
    return Rewritten(
        mode=mode,
        records=len(kept),
        quarantined=len(edits) - len(kept),
        replaced=len(used),
        truncated=sum(bool(record["truncated"]) for record in used),
        blank=sum(not record["text"].strip() for record in new.values()),
        marked=sum(edit.marks.get(FLAGGED) is True for edit in kept),
        rejected=len(refused(scanned)),
    )


def _jobs(scanned: Scanned, edits: Mapping[Origin, Edit], out: Path) -> Iterator[Job]:
    by_source: dict[str, dict[int, Edit]] = {}
    for origin, edit in edits.items():
        by_source.setdefault(origin.source, {})[origin.record] = edit
    for part in scanned.loaded.parts:
        for file in part.source.files:
            if found := by_source.get(file.source):
                kept, quarantined = (_inside(out / folder, file.name) for folder in (DATA, QUARANTINE))
                yield Job(file.path, found, part.reader.answer, kept, quarantined)


def _inside(folder: Path, name: str) -> Path:
    """Where a file of the data set is written, whatever it is called."""
    target = folder / name
    if not target.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"file {shown(name)}: its name leads out of the folder that is written; rename it")
    return target


def _describe(scanned: Scanned, out: Path) -> None:
    """What a folder says about its files: LLaMA-Factory's `dataset_info.json`, the splits of a `DatasetDict`."""
    splits = [file.name for file in _files(scanned) if file.path.is_dir() and file.name != "."]
    for folder in (out / DATA, out / QUARANTINE):
        if info := dict(_entries(scanned, folder)):
            write_json(folder / "dataset_info.json", info)
        if folder.is_dir() and splits:
            write_json(folder / "dataset_dict.json", {"splits": splits})


def _entries(scanned: Scanned, folder: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Those of which a file was written, without `num_samples`: fewer than it asks for would be drawn several times."""
    for part in scanned.loaded.parts:
        if part.source.entry and any((folder / file.name).exists() for file in part.source.files):
            name, entry = part.source.entry
            yield name, {key: value for key, value in entry.items() if key != "num_samples"}


def _files(scanned: Scanned) -> Iterator[DataFile]:
    for part in scanned.loaded.parts:
        yield from part.source.files


def _provenance(
    scanned: Scanned, data: DataSpec, out: Path, spec: RewriteSpec, jobs: Sequence[Job], result: Rewritten
) -> dict[str, object]:
    metadata = scanned.scores.metadata
    written = [path for job in jobs for path in (job.kept, job.quarantined)]
    files = [file for path in written for file in (sorted(path.rglob("*.arrow")) if path.is_dir() else [path])]
    return {
        "counts": asdict(result),
        "data": {"source": data.source, "fingerprint": scanned.loaded.fingerprint},
        "scan": {"folder": str(scanned.folder), "rule": scanned.flags.rule, "threshold": scanned.flags.threshold}
        | {name: metadata.get(name, "") for name in ("model", "model_digest", "processor_digest", "byorn_version")},
        "reviews": asdict(scanned.flags.reviews),
        "rewrite": asdict(spec),
        "files": {path.relative_to(out).as_posix(): sha256_of(path) for path in files if path.is_file()},
        "versions": versions(),
    }
