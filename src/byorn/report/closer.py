"""A closer look at a few rows: how likely each token of the response was, and what the pretrained model would say.

`closer.jsonl` in a run folder, written at the end of a scan, while the model is in memory: a line that says what it was
made from, then one line a row. A report does without it where there is none, or it is of another scan.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from byorn.runs.atomic import atomic_path

CLOSER = "closer.jsonl"
VERSION = 1
Key = tuple[str, int]


@dataclass(frozen=True)
class Token:
    """A token of a response.

    Attributes:
        text: As it is written; several tokens that make one character together are one.
        nats: -ln p of it, given all before it.
    """

    text: str
    nats: float


@dataclass(frozen=True, kw_only=True)
class Closer:
    """One row.

    Attributes:
        head, tail: Tokens from both ends of the response; `tail` is empty where `head` is all of it.
        left_out: How many there are between them.
        answer: What the pretrained model says, greedily; None where it could not be asked.
    """

    head: list[Token]
    tail: list[Token]
    left_out: int
    answer: str | None


def write_closer(path: Path, rows: Mapping[Key, Closer], made_from: Mapping[str, str]) -> None:
    """The file; it appears whole or not at all."""
    lines: list[dict[str, object]] = [{"version": VERSION, **made_from}]
    lines += [{"id": id, "turn": turn, **asdict(closer)} for (id, turn), closer in rows.items()]
    with atomic_path(path) as partial:
        partial.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def read_closer(path: Path, made_from: Mapping[str, str]) -> dict[Key, Closer]:
    """The rows of the file; none where there is no file, where it was made from something else, or where it is
    damaged.
    """
    try:
        first, *lines = path.read_text(encoding="utf-8").splitlines()
        if json.loads(first) != {"version": VERSION, **made_from}:
            return {}
        return dict(_read(line) for line in lines)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}


def _read(line: str) -> tuple[Key, Closer]:
    held = json.loads(line)
    answer = held["answer"]
    closer = Closer(
        head=[_token(token) for token in held["head"]],
        tail=[_token(token) for token in held["tail"]],
        left_out=int(held["left_out"]),
        answer=None if answer is None else str(answer),
    )
    return (str(held["id"]), int(held["turn"])), closer


def _token(held: Mapping[str, object]) -> Token:
    return Token(str(held["text"]), float(str(held["nats"])))
