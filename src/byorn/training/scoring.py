"""The scores and flags that a `ByornTrainer` makes itself, kept in its `output_dir`.

A script that is started again finds them there: nothing is scored twice, and what a person wrote into the column
`review` of `flags.parquet` counts. The first process reads, writes and tells the others, so all of them agree even
where they share no disk.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from byorn.errors import ByornError, ConfigError
from byorn.flagging.rules import described, flag, flagged_by
from byorn.flagging.table import FLAGS, Flags, keep_reviews, write_flags
from byorn.models.digest import model_digest, processor_digest
from byorn.runs.batches import Shard
from byorn.runs.identity import require_same
from byorn.runs.narrate import rows_in, say
from byorn.scoring.score import evidence_together, score_together
from byorn.scoring.statistics import CONTRAST, EVIDENCE
from byorn.scoring.table import SCORES, Scores, read_scores, write_scores
from byorn.text import shown
from byorn.training.config import output_folder
from byorn.training.content import dataset_digest, rows_of
from byorn.training.replaceable import require_names

if TYPE_CHECKING:
    from byorn.training.trainer import ByornTrainer

Result = TypeVar("Result")


def score_and_flag(trainer: "ByornTrainer") -> tuple[Scores, Flags]:
    """Scores of `output_dir/scores.parquet`, or new ones by the model before training, and the flags that follow.

    Raises:
        MismatchError: The files in `output_dir` are about other data or another model.
        DataError: One of them cannot be read, or two rows to be scored have one name.
    """
    folder = output_folder(trainer.args)
    column = flagged_by(trainer.args)
    if column == CONTRAST and not (folder / SCORES).exists():
        raise ConfigError(
            f"statistic: {CONTRAST} takes `byorn scan --rule paper --statistic {CONTRAST}`; give its flags"
        )
    scores = _from_first(trainer, lambda: _kept_scores(trainer, folder / SCORES))
    if scores is None or column not in scores.values:
        if trainer.args.replacement == "ema":  # scores are of these names: what must be mended, is now
            require_names(trainer.train_dataset)
        scores = _score(trainer, column)
    flags = _from_first(trainer, lambda: _flag(trainer, scores, folder))
    say(
        f"flagged {int(flags.flagged.sum())} of {len(flags)} rows: {described(flags)}; decisions in {folder / FLAGS}",
        flagged=int(flags.flagged.sum()),
        rows=len(flags),
        threshold=flags.threshold,
    )
    _tell_unscored(scores, flags, folder / FLAGS)
    return scores, flags


def _tell_unscored(scores: Scores, flags: Flags, path: Path) -> None:
    """Say which rows nobody could read: they are flagged for that alone, and training may fail on them."""
    rows = zip(scores.keys, scores.reasons, flags.dropped, strict=True)
    failed = [(key, reason) for key, reason, dropped in rows if reason and not dropped]
    if failed:
        (name, turn), reason = failed[0]
        say(
            f"  warning: {len(failed)} row(s) could not be scored and are flagged for it, the first: {shown(name)}, "
            f"turn {turn}, {reason}; training fails where it is the prompt or an image: then write drop into review "
            f"of {path}"
        )


def _from_first(trainer: "ByornTrainer", make: Callable[[], Result]) -> Result:
    """What the first process makes, in all of them; an error there is raised in all of them too."""
    from accelerate.utils import broadcast_object_list

    made: list[Result | ByornError | None] = [None]
    if trainer.is_world_process_zero():
        try:
            made = [make()]
        except ByornError as error:
            made = [error]
    found = broadcast_object_list(made)[0]
    if isinstance(found, ByornError):
        raise found
    return cast("Result", found)


def _kept_scores(trainer: "ByornTrainer", path: Path) -> Scores | None:
    if not path.exists():
        return None
    scores = read_scores(path)
    require_same(scores.metadata, _identity(trainer), path, "delete it, or use another output_dir")
    say(f"using the scores in {path}")
    return scores


def _score(trainer: "ByornTrainer", column: str) -> Scores:
    began = time.perf_counter()
    args = trainer.args
    dataset = trainer.train_dataset
    shard = Shard(args.process_index, args.world_size)
    model, processor = trainer.model, trainer.processing_class
    size, shown = args.score_batch_size, not args.disable_tqdm
    scores = score_together(model, processor, dataset, shard, batch_size=size, progress=shown)
    if column == EVIDENCE:
        rows = rows_of(dataset)
        scores = evidence_together(scores, model, processor, dataset, rows, shard, batch_size=size, progress=shown)
    spent = trainer.tally.seconds["scoring"] = time.perf_counter() - began
    facts = {"byorn_version": version("byorn"), "dtype": str(trainer.model.dtype), "seconds": f"{spent:.3f}"}
    scores = replace(scores, metadata={**_from_first(trainer, lambda: _identity(trainer)), **facts})
    if trainer.is_world_process_zero():
        output_folder(args).mkdir(parents=True, exist_ok=True)
        write_scores(output_folder(args) / SCORES, scores)
    say(f"scored {rows_in(len(scores), spent)}", phase="scoring")
    return scores


def _flag(trainer: "ByornTrainer", scores: Scores, folder: Path) -> Flags:
    """The flags of the rule with the review words of an earlier `flags.parquet`."""
    path = folder / FLAGS
    flags = keep_reviews(flag(scores, trainer.args), path)
    write_flags(path, flags)
    return flags


def _identity(trainer: "ByornTrainer") -> dict[str, str]:
    """Which data and model scores belong to, as `byorn.runs.identity.require_same` compares them."""
    return {
        "data": dataset_digest(trainer.train_dataset),
        "model": str(trainer.model.config._name_or_path),
        "model_digest": model_digest(trainer.model),
        "processor_digest": processor_digest(trainer.processing_class),
    }
