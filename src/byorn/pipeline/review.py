"""`byorn review`: what people decide about the rows of a scan, by spreadsheet or on a page."""

from pathlib import Path

from byorn.data.spec import DataSpec
from byorn.errors import ConfigError
from byorn.models.inputs import REJECTS
from byorn.models.spec import ModelSpec
from byorn.pipeline.scanned import Scanned, as_run, open_recorded
from byorn.pipeline.settings.review import ReviewSpec
from byorn.report.clusters import find_clusters
from byorn.report.words import in_inputs
from byorn.review.decisions import Decisions
from byorn.review.desk import Desk
from byorn.review.sheet import export_sheet, import_sheet
from byorn.runs.narrate import say
from byorn.runs.rejects import put_back_if_refused


def review(run: Path, data: DataSpec, model: ModelSpec, spec: ReviewSpec) -> None:
    """Export, import or serve the decisions about the rows of the scan in `run`.

    Args:
        run: Folder of a scan; its `flags.parquet` and `reviews.jsonl` take the decisions.
        data, model: What was scanned (`values_of_run`); the model is not loaded.
        spec: What to do.

    Raises:
        ByornError: The data are not those of the scan, or a file cannot be used.
    """
    chosen = [name for name, asked in _asked(spec).items() if asked]
    if len(chosen) != 1:
        raise ConfigError("byorn review RUN: give one of --export FILE, --import FILE and --serve")
    if spec.serve:
        require_framework()
    if spec.import_from:
        decisions = Decisions(run, spec.who)
        say(f"{spec.import_from}: {import_sheet(spec.import_from, decisions)}")
        _tell(decisions)
        return
    with put_back_if_refused(run / REJECTS):
        scanned = open_recorded(run, data, model, run)
    decisions = Decisions(run, spec.who)
    scores = scanned.scores.values[scanned.statistic]
    if spec.export_to:
        count = export_sheet(spec.export_to, scanned.rows, scores, decisions.flags, decisions.words, spec.everything)
        say(f"{count} rows; write keep, replace or drop into the review column and give it to --import")
        print(spec.export_to)
        return
    _serve(Desk(scanned.rows, scores, decisions, spec.group_by, _groups(scanned)), spec.port)
    _tell(decisions)


def _groups(scanned: Scanned) -> dict[str, list[int]]:
    """The rows of each group that stands out, by what it is called."""
    say(f"looking for groups that stand out among {len(scanned.rows)} responses")
    groups: dict[str, list[int]] = {}
    for group in find_clusters(as_run(scanned)).found:
        name = group.phrase or in_inputs(group.statistic)
        groups[name if name not in groups else f"{name} ({len(groups) + 1})"] = group.rows.tolist()
    return groups


def _asked(spec: ReviewSpec) -> dict[str, bool]:
    return {"export": spec.export_to is not None, "import": spec.import_from is not None, "serve": spec.serve}


def require_framework() -> None:
    """Refuse to serve without the packages of the extra, before anything is loaded.

    Raises:
        ConfigError: They are not there.
    """
    from importlib.util import find_spec

    if missing := [name for name in ("starlette", "uvicorn") if find_spec(name) is None]:
        raise ConfigError(f"--serve: it needs {' and '.join(missing)}; pip install 'byorn[review]'")


def _serve(desk: Desk, port: int) -> None:
    from byorn.review.serve import serve

    def ready(link: str) -> None:
        say("the page is open to this computer alone; Ctrl-C ends it, and every decision is on the disk already")
        print(link, flush=True)

    serve(desk, port, ready)


def _tell(decisions: Decisions) -> None:
    undecided = sum(
        bool(flag) and word == "auto" for flag, word in zip(decisions.flags.flagged, decisions.words, strict=True)
    )
    counts = {word: decisions.words.count(word) for word in ("keep", "replace", "drop")}
    said = ", ".join(f"{count} {word}" for word, count in counts.items())
    say(f"{decisions.folder}: {said}; {undecided} flagged rows are left to the rule", **counts, undecided=undecided)
