"""`flags.parquet`: which responses are replaced, and why. A person's word in `review` always wins.

People edit that column with any table tool; every other one is under a checksum (see `byorn.runs.sealed`).
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from byorn.data.row import Origin
from byorn.errors import DataError, MismatchError
from byorn.flagging.reports import remove_reports
from byorn.runs.atomic import atomic_path
from byorn.runs.sealed import read_table, replace_free_column, write_table
from byorn.scoring.origins import origin_columns, read_origins
from byorn.text import first_line

FLAGS = "flags.parquet"
REVIEW = "review"
REVIEWS = ("auto", "keep", "replace", "drop")


@dataclass(frozen=True)
class Reviews:
    """How many rows a person decided about.

    Attributes:
        keep, replace, drop: Rows whose `review` says so.
    """

    keep: int
    replace: int
    drop: int

    @property
    def any(self) -> bool:
        """Whether there is a single one."""
        return bool(self.keep or self.replace or self.drop)

    def __str__(self) -> str:
        counts = {"dropped": self.drop, "kept": self.keep, "replaced": self.replace}
        return ", ".join(f"{count} {word} by review" for word, count in counts.items() if count)


@dataclass(frozen=True)
class Flags:
    """One decision a row, in the order of the rows.

    Attributes:
        ids, turns: Keys of the rows.
        flagged: bool array [n], as the rule said.
        weight: float array [n] in [0, 1], how strongly (the paper's P_u; 0 or 1 for the percentile rule).
        rule: The rule with its parameters.
        threshold: The score above which a row is flagged: in nats a token or, by evidence, in powers of ten.
        reasons: Why a row is flagged, else None.
        review: `auto`, or a person's `keep`, `replace` or `drop`; `auto` for all when left out.
        origins: Where the rows come from; empty where that is unknown.
    """

    ids: list[str]
    turns: list[int]
    flagged: np.ndarray
    weight: np.ndarray
    rule: str
    threshold: float
    reasons: list[str | None]
    review: list[str] | None = None
    origins: list[Origin] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def keys(self) -> list[tuple[str, int]]:
        return list(zip(self.ids, self.turns, strict=True))

    @property
    def numbered(self) -> bool:
        """Whether ids are the numbers of rows, since the data set has none."""
        return self.ids == list(map(str, range(len(self))))

    @property
    def review_words(self) -> list[str]:
        """The review word of each row."""
        return self.review or ["auto"] * len(self)

    def _says(self, word: str) -> np.ndarray:
        """bool array [n]: rows with that review word."""
        return np.array([own == word for own in self.review_words], dtype=bool)

    @property
    def undecided(self) -> np.ndarray:
        """bool array [n]: flagged rows that no person has decided about."""
        return np.asarray(self.flagged & self._says("auto"))

    @property
    def replaced(self) -> np.ndarray:
        """bool array [n]: rows whose response is replaced, after review."""
        return np.asarray(self.undecided | self._says("replace"))

    @property
    def kept(self) -> np.ndarray:
        """bool array [n]: rows that a person trusts."""
        return self._says("keep")

    @property
    def dropped(self) -> np.ndarray:
        """bool array [n]: rows that a person threw out."""
        return self._says("drop")

    @property
    def unused(self) -> np.ndarray:
        """bool array [n]: rows whose own response is not learned, after review: replaced or dropped."""
        return np.asarray(self.replaced | self.dropped)

    @property
    def reviews(self) -> Reviews:
        """How many rows a person kept, replaced or dropped, with or against the rule."""
        return Reviews(*(self.review_words.count(word) for word in ("keep", "replace", "drop")))

    @property
    def decided(self) -> str:
        """A digest of which row has which word of a person; empty where nobody has decided."""
        words = [[*key, word] for key, word in zip(self.keys, self.review or [], strict=False) if word != "auto"]
        text = json.dumps(sorted(words)).encode("utf-8", "surrogatepass")
        return blake2b(text, digest_size=8).hexdigest() if words else ""

    def of(self, keys: Sequence[tuple[str, int]]) -> "Flags":
        """The decisions about some of the rows, in the order of `keys`."""
        places = {key: index for index, key in enumerate(self.keys)}
        chosen = [places[key] for key in keys]
        return replace(
            self,
            ids=[self.ids[index] for index in chosen],
            turns=[self.turns[index] for index in chosen],
            flagged=self.flagged[chosen],
            weight=self.weight[chosen],
            reasons=[self.reasons[index] for index in chosen],
            review=[self.review[index] for index in chosen] if self.review else None,
            origins=[self.origins[index] for index in chosen] if self.origins else [],
        )


def write_flags(path: Path, flags: Flags) -> None:
    """Write `flags.parquet`; the file appears whole or not at all. Where it changes, what was reported of the flags
    before is removed first, so that no kill leaves a report beside flags that it does not tell of.
    """
    columns = {
        "id": flags.ids,
        "turn": pa.array(flags.turns, pa.int32()),
        **origin_columns(flags.origins, len(flags)),
        "flagged": flags.flagged,
        "weight": flags.weight,
        "rule": [flags.rule] * len(flags),
        "threshold": [flags.threshold] * len(flags),
        "reason": pa.array(flags.reasons, pa.string()),
        REVIEW: flags.review_words,
    }
    with atomic_path(path) as partial:
        write_table(partial, pa.table(columns), free=[REVIEW])
        if not path.exists() or path.read_bytes() != partial.read_bytes():
            remove_reports(path.parent)


def read_flags(path: Path) -> Flags:
    """Read `flags.parquet`.

    Raises:
        DataError: The file is missing or damaged, or `review` holds an unknown word.
    """
    try:
        columns = read_table(path, free=[REVIEW])[0].to_pydict()
        flagged = np.array(columns["flagged"], dtype=bool)
        weight = np.array(columns["weight"], dtype=float)
        rule = columns["rule"][0]
        threshold = columns["threshold"][0]
        flags = Flags(
            columns["id"], columns["turn"], flagged, weight, rule, threshold, columns["reason"], columns[REVIEW],
            read_origins(columns),
        )  # fmt: skip
    except FileNotFoundError:
        raise DataError(f"flags: {path} is not there; run `byorn scan`") from None
    except (OSError, ValueError, TypeError, KeyError, IndexError, pa.ArrowException) as error:
        raise DataError(
            f"flags: {path} is not a readable flag file ({first_line(error)}); put back a copy, or delete it and "
            "run the same command again (decisions in its review column are then lost)"
        ) from error
    unknown = sorted({str(word) for word in flags.review_words} - set(REVIEWS))
    if unknown:
        raise DataError(f"flags: {path}: review holds {unknown[0]!r}; use one of {', '.join(REVIEWS)}")
    return flags


def read_reviews(path: Path) -> list[str]:
    """The `review` column alone, row by row.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        return [str(word) for word in pq.read_table(path, columns=[REVIEW])[REVIEW].to_pylist()]
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise DataError(f"flags: {path} is not a readable flag file ({first_line(error)}); put back a copy") from error


def write_reviews(path: Path, words: Sequence[str]) -> None:
    """Put words of `REVIEWS` into the `review` column, one a row; the file changes as a whole or not at all."""
    replace_free_column(path, REVIEW, words)


def keep_reviews(flags: Flags, path: Path) -> Flags:
    """The flags with the decisions that stand in an earlier `flags.parquet`, row by row, if there is one.

    Raises:
        DataError: The file cannot be read.
        MismatchError: A decision is about a row that there is none of, or about one of several with the same id, or
            rows have no ids and are no longer as many.
    """
    if not path.exists():
        return flags
    earlier = read_flags(path)
    decided = {key: word for key, word in zip(earlier.keys, earlier.review_words, strict=True) if word != "auto"}
    if decided.keys() - set(flags.keys) or (decided and flags.numbered and len(flags) != len(earlier)):
        raise MismatchError(f"{path}: its reviews are about other rows; move it away, or use another folder")
    if several := decided.keys() & {key for key, count in Counter(flags.keys).items() if count > 1}:
        raise MismatchError(
            f"{path}: review: several rows have the id {min(several)[0]!r}, so nobody knows which one is meant; give "
            "each row an id of its own"
        )
    return replace(flags, review=[decided.get(key, "auto") for key in flags.keys])
