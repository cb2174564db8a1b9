"""The scores and flags that a `ByornTrainer` makes itself, kept in its `output_dir`.

A script that is started again finds them there: nothing is scored twice, and what a person wrote into the column
`review` of `flags.parquet` counts. The first process reads, writes and tells the others, so all of them agree even
where they share no disk.
"""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from byorn.data.row import ImageFile, Row, user_message
from byorn.errors import ByornError, ConfigError, MismatchError
from byorn.flagging.rules import described, flag, flagged_by
from byorn.flagging.table import Flags, keep_reviews, write_flags
from byorn.models.digest import model_digest, processor_digest
from byorn.runs.batches import Shard
from byorn.runs.identity import require_same
from byorn.runs.narrate import say, seconds
from byorn.scoring.score import evidence_together, score_together
from byorn.scoring.statistics import CONTRAST, EVIDENCE
from byorn.scoring.table import Scores, read_scores, write_scores
from byorn.training.config import output_folder

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

    from byorn.training.trainer import ByornTrainer

Result = TypeVar("Result")

CONTENT = ("id", "turn", "prompt", "completion", "images")
"""The columns of a row that its score depends on, and those that name it."""


def score_and_flag(trainer: "ByornTrainer") -> tuple[Scores, Flags]:
    """Scores of `output_dir/scores.parquet`, or new ones by the model before training, and the flags that follow.

    Raises:
        MismatchError: The files in `output_dir` are about other data or another model.
        DataError: One of them cannot be read.
    """
    folder = output_folder(trainer.args)
    column = flagged_by(trainer.args)
    if column == CONTRAST and not (folder / "scores.parquet").exists():
        raise ConfigError(
            f"statistic: {CONTRAST} takes `byorn scan --rule paper --statistic {CONTRAST}`; give its flags"
        )
    scores = _from_first(trainer, lambda: _kept_scores(trainer, folder / "scores.parquet"))
    if scores is None or column not in scores.values:
        scores = _score(trainer, column)
    flags = _from_first(trainer, lambda: _flag(trainer, scores, folder))
    say(
        f"flagged {int(flags.flagged.sum())} of {len(flags)} rows: {described(flags)}; decisions in "
        f"{folder / 'flags.parquet'}",
        flagged=int(flags.flagged.sum()),
        rows=len(flags),
        threshold=flags.threshold,
    )
    return scores, flags


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
    try:
        require_same(scores.metadata, _identity(trainer), path)
    except MismatchError as error:
        changed = str(error).partition(";")[0]
        raise MismatchError(f"{changed}; delete it, or use another output_dir") from None
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
        write_scores(output_folder(args) / "scores.parquet", scores)
    say(f"scored {len(scores)} rows in {seconds(spent)} ({len(scores) / spent:.0f} rows/s)", phase="scoring")
    return scores


def rows_of(dataset: "Dataset") -> list[Row]:
    """The rows of a data set as far as their scores depend on each other: keys, instructions, responses, and which
    images; no image is decoded.
    """
    columns = [name for name in CONTENT if name in dataset.column_names]
    plain = dataset.select_columns(columns).with_format("arrow")
    found: list[Row] = []
    for table in plain.iter(batch_size=1024):
        texts = table.select([name for name in columns if name != "images"]).to_pylist()
        images = _images_of(table["images"]) if "images" in columns else [[] for _ in texts]
        for record, shown in zip(texts, images, strict=True):
            found.append(
                Row(
                    id=str(record.get("id", len(found))),
                    turn=int(record.get("turn") or 0),
                    prompt=[user_message(_instruction(record.get("prompt")))],
                    response=_text(record["completion"]),
                    images=shown,
                )
            )
    return found


def _instruction(prompt: object) -> str:
    """What the user says last in a prompt, in any of TRL's forms."""
    messages = prompt if isinstance(prompt, list) else []
    asked = [message for message in messages if isinstance(message, dict) and message.get("role") == "user"]
    return _text(asked[-1] if asked else prompt or "").strip()


def _text(completion: object) -> str:
    """What a completion or a message says, in any of TRL's forms."""
    if isinstance(completion, list):
        return " ".join(_text(part) for part in completion)
    if isinstance(completion, dict):
        return _text(completion.get("content") or completion.get("text") or "")
    return str(completion)


def _images_of(column: "pa.ChunkedArray") -> list[list[ImageFile]]:
    """The images of each row, whose bytes stay where they are."""
    return [[_image(image) for image in row.values or ()] for row in column]


def _image(image: "pa.Scalar") -> ImageFile:
    if not hasattr(image, "keys"):
        return ImageFile(data=str(image.as_py()).encode())
    data, path = (image.get(name) for name in ("bytes", "path"))
    view = memoryview(data.as_buffer()).cast("B").toreadonly() if data is not None and data.is_valid else None
    return ImageFile(path=path.as_py() if path else None, data=view, name=path.as_py() if path else None)


def _flag(trainer: "ByornTrainer", scores: Scores, folder: Path) -> Flags:
    """The flags of the rule with the review words of an earlier `flags.parquet`."""
    path = folder / "flags.parquet"
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


def dataset_digest(dataset: "Dataset") -> str:
    """BLAKE2b-128 in hex over keys, prompts, responses and images; an image file counts by its path and size."""
    columns = [name for name in CONTENT if name in dataset.column_names]
    digest = blake2b(digest_size=16)
    for table in dataset.select_columns(columns).with_format("arrow").iter(batch_size=64):
        for row in table.select(columns).to_pylist():
            digest.update(json.dumps(row, sort_keys=True, default=_plain).encode("utf-8", "surrogatepass") + b"\n")
            for image in row.get("images") or []:
                digest.update(_size(image))
    return digest.hexdigest()


def _plain(value: object) -> str:
    """What JSON does not know, for the digest: bytes by their own digest."""
    return blake2b(value, digest_size=16).hexdigest() if isinstance(value, bytes) else str(value)


def _size(image: object) -> bytes:
    """The size of an image that is only named."""
    path = image.get("path") if isinstance(image, dict) and not image.get("bytes") else None
    found = Path(path) if isinstance(path, str) else None
    return str(found.stat().st_size).encode() if found is not None and found.is_file() else b"-"
