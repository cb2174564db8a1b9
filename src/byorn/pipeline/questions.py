"""What `byorn verify` asks both models, the same of each, and their answers, which are kept as they come."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byorn.data.row import Row
from byorn.errors import MismatchError
from byorn.models.adapters import files_digest, load_adapter
from byorn.models.digest import adapter_digest
from byorn.models.spec import ModelSpec
from byorn.pipeline.engine import greedy_source, require_taken, room_for, rows_at_once
from byorn.pipeline.evaluate import ANSWERED_TOGETHER, answers
from byorn.pipeline.sampled import Sampled
from byorn.pipeline.settings.verify import VerifySpec
from byorn.runs.folder import read_json, write_json
from byorn.runs.identity import IDENTITY
from byorn.training.settings import EngineSettings

if TYPE_CHECKING:
    from byorn.training.responses import ResponseSource

Texts = list[str]
TUNED = "tuned"
ADAPTER = "adapter.json"
"""Beside the answers of an adapter, once it has given all of them: which one it is."""
CHOICE = "the choice of rows (--rows, --seed, decisions about them)"


def identity_of(adapter: Path) -> dict[str, str]:
    """Which adapter answers and a verdict are about: its folder, and a hash of what lies there."""
    return {"folder": str(adapter), "digest": files_digest(adapter)}


def has_answered(out: Path, adapter: Mapping[str, str]) -> bool:
    """Whether an adapter has answered everything that it was asked in `out`, wherever it lay then."""
    known = (read_json(path) or {} for path in (out / TUNED).glob(f"*/{ADAPTER}"))
    return any(one.get("digest") == adapter["digest"] for one in known)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Greedy answers of one model: to the sampled inputs, to those with a named trigger, and to each hypothesis."""

    plain: Texts
    triggered: Texts
    grafted: list[Texts]


@dataclass(frozen=True, kw_only=True)
class Questions:
    """What both models are asked; `triggered` are trusted inputs with a named trigger."""

    processor: Any
    sampled: Sampled
    triggered: Sequence[Row]
    spec: VerifySpec
    engine: EngineSettings

    @property
    def rows(self) -> Iterator[Row]:
        """Whatever is asked."""
        return chain(self.sampled.rows, self.triggered, *(one.rows for one in self.sampled.tried))

    def answered(self, model: ModelSpec, pretrained: Any, adapter: Path, out: Path) -> tuple[Answers, Answers]:
        """The answers of the pretrained model, then those of the tuned one, by one engine; they lie in
        `out/pretrained`, and in `out/tuned` in a folder for each adapter, which says whose they are.
        """
        room = room_for(self.engine, pretrained, adapter)
        limit = self.spec.max_new_tokens
        with greedy_source(self.processor, limit, self.engine, model, self.rows, room) as source:
            before = self._put_to(pretrained, out / "pretrained", source)
            tuned = load_adapter(pretrained, adapter)
            require_taken(self.engine, tuned)
            folder = out / TUNED / adapter_digest(tuned)[:12]
            after = self._put_to(tuned, folder, source)
            write_json(folder / ADAPTER, identity_of(adapter))
            return before, after

    def _put_to(self, model: Any, folder: Path, source: "ResponseSource | None") -> Answers:
        folder.mkdir(parents=True, exist_ok=True)

        def said(rows: Sequence[Row], name: str) -> Texts:
            return self._said(model, rows, folder / f"{name}.jsonl", source)

        tried = enumerate(self.sampled.tried, start=1)
        return Answers(
            plain=said(self.sampled.rows, "predictions"),
            triggered=said(self.triggered, "predictions_triggered"),
            grafted=[said(one.rows, f"predictions_grafted_{number}") for number, one in tried],
        )

    def _said(self, model: Any, rows: Sequence[Row], path: Path, source: "ResponseSource | None") -> Texts:
        if not rows:
            return []
        together = rows_at_once(self.engine, self.spec.batch_size, ANSWERED_TOGETHER, self.rows)
        options: dict[str, Any] = {"batch_size": together, "max_new_tokens": self.spec.max_new_tokens, "source": source}
        try:
            made = answers(model, self.processor, rows, path, **options)
        except MismatchError as error:  # that the data set is the scanned one was made sure of before
            raise MismatchError(str(error).replace(IDENTITY["data"], CHOICE)) from None
        return [record["prediction"] for record in made]
