"""Score a whole data set: batches of similar length, a progress bar, a journal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from byorn.data.row import Row
from byorn.runs.batches import WHOLE, Shard
from byorn.runs.journal import Journal
from byorn.runs.stage import fill
from byorn.scoring.contrast import Swapped, paired
from byorn.scoring.evidence import with_evidence
from byorn.scoring.passes import FIELDS, Pass, fitted_pass, fitted_to, pretrained_pass
from byorn.scoring.table import Scores, from_records


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
        _run(pretrained_pass(model, processor, dataset), log, WHOLE, batch_size, progress)
        return from_records([log.finished[index] for index in range(len(dataset))], metadata)


def score_together(model: Any, processor: Any, dataset: Any, shard: Shard, **options: Any) -> Scores:
    """`score_dataset` by the processes of one process group: each scores its shard, and all get the same scores."""
    return _together(pretrained_pass(model, processor, dataset), shard, **options)


def evidence_together(
    scores: Scores, model: Any, processor: Any, dataset: Any, rows: Sequence[Row], shard: Shard, *, batch_size: int,
    progress: bool = False,
) -> Scores:  # fmt: skip
    """The scores with their evidence, see `byorn.scoring.evidence`; all processes have the same adapted models."""
    pairs = paired(rows)
    with fitted_to(model, processor, dataset, rows, scores.nll, batch_size=batch_size, shard=shard) as fitted:
        adapted, swapped = (
            _together(fitted_pass(fitted, processor, part, numbers), shard, batch_size=batch_size, progress=progress)
            for part, numbers in ((dataset, range(len(rows))), (Swapped(dataset, pairs), [row for row, _ in pairs]))
        )
    return with_evidence(scores, adapted, swapped, pairs, rows, fitted.curve)


def _together(scoring_pass: Pass, shard: Shard, *, batch_size: int, progress: bool = False) -> Scores:
    from accelerate.utils import gather_object

    with Journal(None, {}, scoring_pass.fields) as log:
        _run(scoring_pass, log, shard, batch_size, progress)
        records = dict(gather_object(list(log.finished.items())))
    return from_records([records[index] for index in range(len(scoring_pass.order))], {})


def _run(scoring_pass: Pass, log: Journal, shard: Shard, batch_size: int, progress: bool) -> None:
    with scoring_pass.using as compute:
        fill(log, scoring_pass.order, batch_size, compute, shard=shard, phase="scoring" if progress else "")
