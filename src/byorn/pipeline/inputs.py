"""What every command starts from: rows that were checked, and the model that they are meant for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from byorn.data.fingerprint import fingerprint
from byorn.data.load import LoadedRows, load_rows, require_no_rejects, write_rejects
from byorn.data.row import Row
from byorn.errors import DataError
from byorn.models.load import load_processor
from byorn.models.template import missing_end_of_turn, special_tokens
from byorn.pipeline.narrate import say
from byorn.pipeline.ranks import is_main


@dataclass(frozen=True)
class DataSpec:
    """Which rows: the options of `load_rows`, `strict`, and the longest row in tokens."""

    source: str
    format: str = "auto"
    name: str | None = None
    split: str = "train"
    turns: str = "last"
    image_root: Path | None = None
    limit: int | None = None
    strict: bool = False
    max_length: int | None = None


@dataclass(frozen=True)
class ModelSpec:
    """Which model: a folder, a hub name or `embedded`; its number type, its device, and whether its own code may run."""

    name: str
    dtype: str = "auto"
    device: str | None = None
    trust_remote_code: bool = False

    def processor(self) -> Any:
        return load_processor(self.name, trust_remote_code=self.trust_remote_code)

    def model(self) -> Any:
        from byorn.models.load import load_model

        return load_model(self.name, dtype=self.dtype, device=self.device, trust_remote_code=self.trust_remote_code)


def read_rows(spec: DataSpec, processor: Any, out: Path, limit_tokens: int | None = None) -> LoadedRows:
    """Rows for a model: read, checked, narrated; what could not be used is listed in `out/rejects.jsonl`.

    Raises:
        DataError: Nothing usable, or `strict` and a reject.
    """
    loaded = load_rows(
        spec.source, format=spec.format, name=spec.name, split=spec.split, turns=spec.turns, image_root=spec.image_root,
        limit=spec.limit, special_tokens=special_tokens(processor),
    )  # fmt: skip
    loaded = _without_overlong(loaded, processor, spec.max_length or limit_tokens)
    for note in loaded.notes:
        say(f"  {note}")
    if loaded.rejects:
        if is_main():
            write_rejects(out / "rejects.jsonl", loaded.rejects)
        say(
            f"  {len(loaded.rejects)} record(s) cannot be used, listed in {out / 'rejects.jsonl'}; the first: {loaded.rejects[0]}"
        )
    if spec.strict:
        require_no_rejects(loaded)
    say(f"  {len(loaded.rows)} rows, {sum(bool(row.images) for row in loaded.rows)} with images")
    return loaded


def _without_overlong(loaded: LoadedRows, processor: Any, limit: int | None) -> LoadedRows:
    from byorn.models.length import split_overlong

    if not limit:
        return loaded
    rows, overlong = split_overlong(loaded.rows, processor, limit)
    if not rows:
        raise DataError(f"every row is over {limit} tokens, first: {overlong[0]}")
    if not overlong:
        return loaded
    return LoadedRows(rows, [*loaded.rejects, *overlong], loaded.notes, fingerprint(rows))


def training_rows(rows: Sequence[Row], processor: Any) -> list[Row]:
    """The rows as the model should learn them: with an end of turn, if the chat template writes none."""
    end = missing_end_of_turn(processor)
    if not end:
        return list(rows)
    say(f"  the chat template ends no response: {end!r} is appended to each")
    return [replace(row, response=row.response + end) for row in rows]
