"""What every command starts from: rows that were checked, and the model that they are meant for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byorn.data.fingerprint import fingerprint
from byorn.data.load import LoadedRows, load_rows, require_no_rejects
from byorn.data.problem import RowProblem
from byorn.data.rejects import NothingUsable, Reject
from byorn.data.row import Row
from byorn.data.sources import open_source
from byorn.data.spec import DataSpec
from byorn.data.stored import stored
from byorn.errors import DataError
from byorn.models.spec import ModelSpec
from byorn.models.template import missing_end_of_turn, special_tokens
from byorn.runs.narrate import say
from byorn.runs.rejects import list_rejects

if TYPE_CHECKING:
    from byorn.models.sharding import Layout

REJECTS = "rejects.jsonl"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Rows and the pretrained model that they are meant for, in memory.

    Attributes:
        rows: As read and checked.
        dataset: The same rows as the model learns them (see `training_rows`), in TRL's form.
        model, processor: The pretrained model, in eval mode, and its processor.
        identity: What a file that comes of them belongs to: `data`, `model`, `model_digest`, `processor_digest`.
        rejects: How many records cannot be used.
        earlier: How many answers are context alone, see `LoadedRows`.
    """

    rows: Sequence[Row]
    dataset: Any
    model: Any
    processor: Any
    identity: dict[str, str]
    rejects: int
    earlier: int = 0


@dataclass(frozen=True, kw_only=True)
class Opened:
    """Rows that were read and checked for a model that is not loaded yet."""

    spec: ModelSpec
    loaded: LoadedRows
    processor: Any


def open_rows(data: DataSpec, model: ModelSpec, out: Path, *, said: bool = False) -> Opened:
    """Read the rows; what cannot be used is listed in `out/rejects.jsonl`. `said` is whether somebody has been told.

    Raises:
        ByornError: The data or the model's processor cannot be used.
    """
    from byorn.models.length import context_length
    from byorn.models.load import load_config, load_spec_processor

    require_source(data)
    processor = load_spec_processor(model)
    loaded = read_rows(data, processor, out, context_length(load_config(model)), said=said)
    return Opened(spec=model, loaded=loaded, processor=processor)


def load_inputs(opened: Opened, layout: "Layout | None" = None) -> Inputs:
    """Load the model for rows that were read; with a layout its weights are sharded.

    Raises:
        ModelError: It cannot be used.
    """
    from byorn.data.dataset import to_dataset
    from byorn.models.digest import model_digest, processor_digest
    from byorn.models.load import load_spec

    say(f"loading {opened.spec.name}")
    model = load_spec(opened.spec, layout)
    rows = opened.loaded.rows
    identity = {
        "data": opened.loaded.fingerprint,
        "model": opened.spec.name,
        "model_digest": model_digest(model),
        "processor_digest": processor_digest(opened.processor),
    }
    return Inputs(
        rows=rows,
        dataset=to_dataset(training_rows(rows, opened.processor)),
        model=model,
        processor=opened.processor,
        identity=identity,
        rejects=len(opened.loaded.rejects),
        earlier=opened.loaded.earlier,
    )


def require_source(spec: DataSpec) -> None:
    """Refuse a data set that is not there before anything is loaded; the Hub is asked later."""
    open_source(spec.source, spec.format, spec.name, spec.split)


def read_rows(
    spec: DataSpec, processor: Any, out: Path, limit_tokens: int | None = None, rejects: str = REJECTS,
    room: int | None = None, said: bool = False,
) -> LoadedRows:  # fmt: skip
    """Rows for a model: read, checked, narrated; what could not be used is listed in the file `rejects` of `out`.

    `limit_tokens` and `room` are limit and room of `fitting`; `spec.max_length` wins over the first.

    Raises:
        DataError: Nothing usable, or `strict` and a reject; they are listed all the same.
    """
    if not said:
        say(f"reading {spec.source}")
    try:
        loaded = _usable(spec, processor, limit_tokens, room)
    except NothingUsable as error:
        list_rejects(out / rejects, error.rejects)
        raise DataError(f"{error}; all are listed in {out / rejects}") from None
    tell_rows(loaded, out / rejects, strict=spec.strict)
    return loaded


def tell_rows(loaded: LoadedRows, rejects: Path, *, strict: bool) -> None:
    """Say what was read, and list what could not be used in the file `rejects`.

    Raises:
        DataError: `strict`, and there is a reject; they are listed all the same.
    """
    for note in loaded.notes:
        say(f"  {note}")
    list_rejects(rejects, loaded.rejects)
    if loaded.rejects:
        say(f"  {len(loaded.rejects)} record(s) cannot be used, listed in {rejects}; the first: {loaded.rejects[0]}")
    if strict:
        require_no_rejects(loaded)
    say(f"  {len(loaded.rows)} rows, {sum(bool(row.images) for row in loaded.rows)} with images")


def _usable(spec: DataSpec, processor: Any, limit_tokens: int | None, room: int | None) -> LoadedRows:
    """The rows that can be read, and that the model can take."""
    loaded = load_rows(spec, special_tokens=special_tokens(processor), notify=say)
    return fitting(loaded, processor, spec.max_length or limit_tokens, room)


def fitting(loaded: LoadedRows, processor: Any, limit: int | None, room: int | None = None) -> LoadedRows:
    """The rows that the model's family can take, and that fit into `limit` tokens, see `length.Ruler.problem`.

    Raises:
        NothingUsable: There is none.
    """
    from byorn.models.length import Ruler
    from byorn.models.limits import conversation_of

    unfit: dict[int, Reject] = {}
    overlong: dict[int, Reject] = {}
    ruler = Ruler(processor)
    for number, row in enumerate(loaded.rows):
        try:
            text = conversation_of(row, processor)
        except RowProblem as problem:
            unfit[number] = Reject.of(row.origin, row.id, problem)
            continue
        if limit and (long := ruler.problem(row, limit, room, text)):
            overlong[number] = Reject.of(row.origin, row.id, long)
    return _without(loaded, unfit, overlong, limit)


def _without(
    loaded: LoadedRows, unfit: Mapping[int, Reject], overlong: Mapping[int, Reject], limit: int | None
) -> LoadedRows:
    """The rows without those that are rejected, by number."""
    rejects = [*loaded.rejects, *unfit.values(), *overlong.values()]
    if len(unfit) == len(loaded.rows):
        raise NothingUsable(f"the model can take no row, first: {rejects[len(loaded.rejects)]}", rejects)
    if len(unfit) + len(overlong) == len(loaded.rows):
        raise NothingUsable(f"every row is over {limit} tokens, first: {next(iter(overlong.values()))}", rejects)
    if not unfit and not overlong:
        return loaded
    kept = stored(row for number, row in enumerate(loaded.rows) if number not in unfit and number not in overlong)
    return replace(loaded, rows=kept, rejects=rejects, fingerprint=fingerprint(kept))


def training_rows(rows: Sequence[Row], processor: Any) -> Sequence[Row]:
    """The rows as the model should learn them: with an end of turn, if the chat template writes none."""
    end = missing_end_of_turn(processor)
    if not end:
        return rows
    say(f"  the chat template ends no response: {end!r} is appended to each")
    return stored(replace(row, response=row.response + end) for row in rows)
