"""Score a whole data set: batches of similar length, a progress bar, a journal, and no row that can stop the others."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from byorn.data.row import Row
from byorn.models.template import end_ids
from byorn.runs.batches import WHOLE, Shard, length_order
from byorn.runs.journal import Journal
from byorn.runs.stage import Compute, fill
from byorn.scoring.adaptation import CrossFitted, cross_fitted
from byorn.scoring.alike import ForwardError, alike
from byorn.scoring.contrast import Swapped, paired
from byorn.scoring.evidence import with_evidence
from byorn.scoring.folds import content_folds
from byorn.scoring.likelihood import ResponseTokens, build_collator, response_tokens, scoring
from byorn.scoring.statistics import STATISTICS, statistics_of
from byorn.scoring.table import Scores, from_records
from byorn.scoring.words import word_costs
from byorn.text import first_line

FIELDS = frozenset({"id", "turn", *STATISTICS, "tokens", "reason"})
"""Of a record of the journal."""
WORD_FIELDS = FIELDS | {"words"}
"""Of a record of a pass that tells what each word costs."""


def score_dataset(
    model: Any,
    processor: Any,
    dataset: Any,
    *,
    batch_size: int = 8,
    metadata: dict[str, str] | None = None,
    journal: Path | None = None,
    progress: bool = False,
) -> Scores:
    """Score every row of a data set in TRL's prompt/completion form (`byorn.data.dataset.to_dataset`).

    Scores do not depend on the batch size or the order of rows, up to rounding: within 1e-5 nats a token in float32. A
    batch that does not fit into memory is halved; a row that fails on its own gets NaN and the reason. Adapters on the
    model are off while scoring. On several processes every one of them scores all rows; see `score_together`.

    Args:
        model: The pretrained model theta_0.
        processor: Its processor.
        dataset: Columns `prompt`, `completion`, `images`, and `id`, `turn` where there are any (else the row's number
            and 0).
        batch_size: Rows a forward pass.
        metadata: Identity of the data and the model, kept in the scores.
        journal: Where finished rows are kept; the caller deletes it when the scores are safe.
        progress: Show a progress bar.

    Raises:
        MismatchError: The journal belongs to other data or another model.
    """
    metadata = metadata or {}
    with Journal(journal, metadata, FIELDS) as log:
        score_shard(model, processor, dataset, log, batch_size=batch_size, progress=progress)
        return from_records([log.finished[index] for index in range(len(dataset))], metadata)


def score_shard(
    model: Any,
    processor: Any,
    dataset: Any,
    log: Journal,
    shard: Shard = WHOLE,
    *,
    batch_size: int = 8,
    progress: bool = False,
) -> None:
    """Score the rows of a shard that `log` does not hold yet, and enter them there.

    A row's batch is the one that it has on a single process, so all shards together give the scores of one.
    """
    with scorer(model, processor, dataset) as compute:
        fill(log, length_order(dataset), batch_size, compute, shard=shard, phase="scoring", wanted=progress)


@contextmanager
def scorer(model: Any, processor: Any, dataset: Any) -> Iterator[Compute]:
    """The function of a stage that scores a batch of rows, while the model is set up for it."""
    collator = build_collator(processor)
    ends = end_ids(model, processor)
    with scoring(model):
        spare = partial(_spare, model, collator, dataset, ends)
        yield alike(model, lambda batch: _score_batch(model, collator, dataset, batch, ends), spare)


@contextmanager
def fitted_scorer(fitted: CrossFitted, processor: Any, dataset: Any, rows: Sequence[int]) -> Iterator[Compute]:
    """The function of a stage that scores each row by the model that was adapted to the fold which it is not in, and
    tells what each of its words costs.

    Args:
        fitted: From `byorn.scoring.adaptation.cross_fitted`.
        processor: The processor of its model.
        dataset: What is scored.
        rows: Which row of the adapted data set each of its items is.
    """
    model = fitted.model
    collator = build_collator(processor)
    ends = end_ids(model, processor)

    def compute(batch: Sequence[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        for fold in (0, 1):
            if part := [item for item in batch if fitted.fold[rows[item]] != bool(fold)]:
                fitted.use(fold)
                yield from _score_batch(model, collator, dataset, part, ends, processor)

    fitted.adapt()
    with scoring(model, adapters=True):
        yield alike(model, compute, partial(_spare, model, collator, dataset, ends))


def score_together(model: Any, processor: Any, dataset: Any, shard: Shard, **options: Any) -> Scores:
    """`score_dataset` by the processes of one process group: each scores its shard, and all get the same scores."""
    with scorer(model, processor, dataset) as compute:
        return _together(dataset, shard, compute, **options)


def evidence_together(
    scores: Scores, model: Any, processor: Any, dataset: Any, rows: Sequence[Row], shard: Shard, *, batch_size: int,
    progress: bool = False,
) -> Scores:  # fmt: skip
    """The scores with their evidence, see `byorn.scoring.evidence`; each process adapts the model in the same way."""
    fold = content_folds(rows)
    pairs = paired(rows)
    swapped = Swapped(dataset, pairs)
    passes: list[Scores] = []
    with cross_fitted(model, processor, dataset, fold, np.isfinite(scores.nll), batch_size=batch_size) as fitted:
        for part, numbers in ((dataset, range(len(rows))), (swapped, [row for row, _ in pairs])):
            with fitted_scorer(fitted, processor, part, numbers) as compute:
                passes.append(_together(part, shard, compute, batch_size=batch_size, progress=progress))
    return with_evidence(scores, passes[0], passes[1], pairs, rows, fitted.course)


def _together(dataset: Any, shard: Shard, compute: Compute, *, batch_size: int, progress: bool = False) -> Scores:
    from accelerate.utils import gather_object

    with Journal(None, {}, WORD_FIELDS) as log:
        fill(log, length_order(dataset), batch_size, compute, shard=shard, phase="scoring", wanted=progress)
        records = dict(gather_object(list(log.finished.items())))
    return from_records([records[index] for index in range(len(dataset))], {})


def _score_batch(
    model: Any, collator: Any, dataset: Any, batch: Sequence[int], ends: Sequence[int], speller: Any = None
) -> list[tuple[int, dict[str, Any]]]:
    """Records of a batch, with the costs of words by a processor that spells them; after a failure its halves are
    tried, down to the row that is at fault.
    """
    import torch

    try:
        samples = [dataset[index] for index in batch]
        found = response_tokens(model, collator, samples, ends)
        return [
            (index, _record(sample, index, tokens, speller))
            for index, sample, tokens in zip(batch, samples, found, strict=True)
        ]
    except (torch.AcceleratorError, ForwardError):  # the device is lost, and every later row would be blamed for it
        raise
    except Exception as error:  # decoders and processors fail on hostile rows in every way there is
        if len(batch) == 1:
            return [(batch[0], _failure(dataset, batch[0], error, speller))]
    torch.cuda.empty_cache()
    middle = len(batch) // 2
    halves = (batch[:middle], batch[middle:])
    return [record for half in halves for record in _score_batch(model, collator, dataset, half, ends, speller)]


def _spare(model: Any, collator: Any, dataset: Any, ends: Sequence[int]) -> None:
    """Run the model once, on the first row that reaches it."""
    for index in range(len(dataset)):
        try:
            response_tokens(model, collator, [dataset[index]], ends)
            return
        except ForwardError:
            raise
        except Exception:  # as in a batch of its own, where it gets its reason
            continue


def _record(sample: dict[str, Any], index: int, tokens: ResponseTokens, speller: Any) -> dict[str, Any]:
    statistics = statistics_of(tokens.log_probs)
    failure = "the model gave no finite likelihood" if len(tokens.ids) else "the response has no tokens"
    reason = None if np.isfinite(statistics["nll"]) else failure
    record = {**_key(sample, index), **statistics, "tokens": len(tokens.ids), "reason": reason}
    return record if speller is None else {**record, "words": [] if reason else word_costs(speller, tokens)}


def _failure(dataset: Any, index: int, error: Exception, speller: Any) -> dict[str, Any]:
    columns = [name for name in ("id", "turn") if name in dataset.column_names]
    sample = dataset.select_columns(columns)[index] if columns else {}
    reason = f"{type(error).__name__}: {first_line(error)}"
    record = {**_key(sample, index), **statistics_of(np.empty(0)), "tokens": 0, "reason": reason}
    return record if speller is None else {**record, "words": []}


def _key(sample: dict[str, Any], index: int) -> dict[str, Any]:
    return {"id": str(sample.get("id", index)), "turn": int(sample.get("turn", 0))}
