"""Which checkpoint of a run can be gone on from: the last one that is whole.

A kill, a full disk or a bad one leaves folders without some file, or with one that is empty or cut. To go on from those
would end in a traceback, or without a word in another adapter: with a fresh optimizer, say.
"""

import json
import re
import zipfile
from collections.abc import Collection
from pathlib import Path

from byorn.errors import TrainingError
from byorn.runs.narrate import say
from byorn.text import first_line

ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
TALLY = "byorn.json"
"""What `training/tally.py` keeps in it."""
AHEAD = "ahead.json"
"""What `training/blocks.py` keeps in it, where responses are sampled ahead."""
STEPS = "steps.json"
"""What `training/processes.py` keeps in it."""
DEEPSPEED = "latest"
"""What DeepSpeed leaves beside an optimizer that it keeps in files of its own."""
_NUMBERED = re.compile(r"checkpoint-[0-9]+")


def last_checkpoint(folder: Path, adapters: Collection[str] = ()) -> Path | None:
    """The last whole checkpoint of a run; what lies after it is said to be damaged.

    Args:
        folder: Of the checkpoints.
        adapters: Names of adapters beside the trained one, each in a folder of its name, that a checkpoint must have.
    """
    for path in sorted(_numbered(folder), key=step_of, reverse=True):
        problem = damage(path, adapters)
        if problem is None:
            return path
        say(f"  {path} is no whole checkpoint ({problem}); it is left out")
    return None


def whole_checkpoint(folder: Path, adapters: Collection[str], wanted: str | bool | None) -> str | bool | None:
    """What the Trainer goes on from: where any is wanted (True) the last whole one, else what is wanted.

    Raises:
        TrainingError: There is none, or the one that is named is damaged.
    """
    if wanted is None or wanted is False:
        return wanted
    if wanted is not True:
        require_whole(wanted, adapters)
        return wanted
    if (last := last_checkpoint(folder, adapters)) is None:
        raise TrainingError(f"resume_from_checkpoint: no whole checkpoint in {folder}; leave it out to begin anew")
    return str(last)


def require_whole(named: str, adapters: Collection[str] = ()) -> None:
    """Refuse a checkpoint that somebody names, where it is damaged or another trainer's, which may have learned poison.

    Raises:
        TrainingError: With what is wrong.
    """
    if problem := damage(Path(named), adapters):
        raise TrainingError(
            f"resume_from_checkpoint: {named} is no whole checkpoint of byorn ({problem}); name another one, or give "
            "True for the last whole one"
        )


def any_checkpoint(folder: Path) -> bool:
    """Whether a run has begun to write checkpoints, whole or not."""
    return bool(_numbered(folder))


def _numbered(folder: Path) -> list[Path]:
    """Folders that the Trainer makes; `checkpoint-2 (copy)` is none."""
    return [path for path in folder.glob("checkpoint-*") if _NUMBERED.fullmatch(path.name)]


def step_of(checkpoint: Path) -> int:
    """The optimizer step after which a checkpoint was made, as its name says."""
    return int(checkpoint.name.rpartition("-")[2])


def damage(checkpoint: Path, adapters: Collection[str] = ()) -> str | None:
    """What is wrong with a checkpoint, None if it is whole."""
    try:
        _read_state(checkpoint)
        _read_object(checkpoint / TALLY)
        for path in (checkpoint / AHEAD, checkpoint / STEPS):
            if path.exists():
                _read_object(path)
        for folder in (checkpoint, *(checkpoint / name for name in adapters)):
            _read_adapter(folder)
        if not (checkpoint / DEEPSPEED).is_file():
            _read_archive(checkpoint / "optimizer.pt")
            _read_archive(checkpoint / "scheduler.pt")
        randomness = sorted(checkpoint.glob("rng_state*.pth")) or [checkpoint / "rng_state.pth"]
        for path in (*randomness, *checkpoint.glob("scaler.pt")):  # only training in fp16 has a scaler
            _read_archive(path)
    except (OSError, ValueError) as error:
        return first_line(error)
    return None


def _read_state(checkpoint: Path) -> None:
    """`trainer_state.json`, which is written last."""
    from transformers import TrainerState

    path = checkpoint / "trainer_state.json"
    _read_object(path)
    try:
        state = TrainerState.load_from_json(str(path))
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path.name}: {error}") from error
    if _NUMBERED.fullmatch(checkpoint.name) and state.global_step != step_of(checkpoint):
        raise ValueError(f"trainer_state.json: it is about step {state.global_step}")


def _read_adapter(folder: Path) -> None:
    from safetensors import SafetensorError, safe_open

    settings, weights = (folder / name for name in ADAPTER)
    _read_object(settings)
    _require(weights)
    try:
        with safe_open(weights, framework="numpy"):
            pass  # the header fits the length of the file
    except SafetensorError as error:
        raise ValueError(f"{folder.name}/{weights.name}: {error}") from error


def _read_archive(path: Path) -> None:
    """A file of `torch.save`: a ZIP archive with checksums."""
    _require(path)
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, EOFError, RuntimeError) as error:  # a flipped bit may ask for a password
        raise ValueError(f"{path.name}: {error}") from error
    if broken:
        raise ValueError(f"{path.name}: its part {broken} is damaged")


def _read_object(path: Path) -> dict[str, object]:
    _require(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name}: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path.name}: it holds a {type(content).__name__}")
    return content


def _require(path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"{path.parent.name}/{path.name} is missing")
