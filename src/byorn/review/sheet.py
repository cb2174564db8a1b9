"""Decisions in a spreadsheet: a CSV file out, the same file with words in its `review` column in.

A cell that a spreadsheet would take for a formula (it begins with = + - @, a tab or a line break) gets an apostrophe in
front, as does one that begins with an apostrophe, so that the way back is exact. Rows are known by `key`, a short hash
of id and turn that begins with a letter: ids such as 0012 or 1e5 come back from a spreadsheet as other texts.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from byorn.data.row import Row
from byorn.errors import ConfigError, DataError
from byorn.flagging.table import REVIEWS, Flags
from byorn.review.columns import own_columns, own_values
from byorn.review.decisions import Decisions, Verdict
from byorn.review.order import review_order
from byorn.runs.atomic import atomic_path
from byorn.text import shown

COLUMNS = (
    *("review", "why", "score", "flagged", "instruction", "response", "image"),
    *("id", "turn", "source", "record", "key"),
)
LONGEST = 2000
"""Characters of an instruction or response; a spreadsheet takes 32,767 in a cell, and shows far fewer."""
MOST_DIGITS = 9
"""Of the number of a turn; int() refuses a text of thousands."""
_WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".ods")
"""What a spreadsheet would not open, as its content is another."""
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
_NEXT_CELL = r"([;|\t\r\n]\s*)"
_FORMULA = r"(?=['=+\-@])"
"""What a spreadsheet of another language may take for the end of a cell, and the beginning of a formula."""


def export_sheet(
    path: Path, rows: Sequence[Row], scores: np.ndarray, flags: Flags, words: list[str], everything: bool = False
) -> int:
    """Write the undecided flagged rows, or all of them, in the order of `review_order`, with the data set's own columns
    (`byorn.review.columns`); how many they are.

    Raises:
        ConfigError: The file is named as another kind, is there, with decisions perhaps, or cannot be written.
    """
    if path.suffix.lower() in _WORKBOOKS:
        raise ConfigError(f"--export {path}: a sheet is a CSV file; call it {path.with_suffix('.csv').name}")
    if path.exists():
        raise ConfigError(f"--export {path}: it is there already, perhaps with decisions in it; choose another name")
    order = review_order(flags, words, scores)
    chosen = [row for row in order if everything or (flags.flagged[row] and words[row] == "auto")]
    try:
        with (
            atomic_path(path) as partial,
            partial.open("w", encoding="utf-8-sig", errors="backslashreplace", newline="") as file,
        ):
            writer = csv.writer(file)
            own = own_columns(rows[row] for row in chosen)
            writer.writerow([*COLUMNS, *own.values()])
            for number in chosen:
                row = rows[number]
                cells = _cells(row, scores[number], bool(flags.flagged[number]), words[number])
                writer.writerow([*cells, *map(guarded, own_values(row.meta, own))])
    except OSError as error:
        raise ConfigError(f"--export {path}: {error.strerror or error}; choose another place") from error
    return len(chosen)


def _cells(row: Row, score: float, flagged: bool, word: str) -> list[str]:
    image = ", ".join(image.name or "in the table" for image in row.images)
    texts = [_clipped(row.instruction), _clipped(row.response), image, row.id]
    instruction, response, image, name = map(guarded, texts)
    number = "" if np.isnan(score) else f"{score:.4f}"
    record = str(row.origin.record) if row.origin.record >= 0 else ""
    return [
        *("" if word == "auto" else word, "", number, "yes" if flagged else "no", instruction, response, image),
        *(name, str(row.turn), guarded(row.origin.source), record, key_of(row.key)),
    ]


def _clipped(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} [{len(text) - LONGEST} more characters]"


def guarded(text: str) -> str:
    """The text as a cell that no spreadsheet computes."""
    text = re.sub(_NEXT_CELL + _FORMULA, r"\1'", text)
    return f"'{text}" if text.startswith(_DANGEROUS) else text


def unguarded(cell: str) -> str:
    """The text that `guarded` made a cell of."""
    return re.sub(f"{_NEXT_CELL}'{_FORMULA}", r"\1", cell.removeprefix("'"))


def key_of(key: tuple[str, int]) -> str:
    """A short name of a row that survives a spreadsheet."""
    text = f"{key[1]} {key[0]}".encode("utf-8", "surrogatepass")
    return "r" + blake2b(text, digest_size=8).hexdigest()


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes:
        changed: Word -> rows that it was given to.
        same: Rows that had their word already, or keep it, as the sheet has none.
        empty: Rows without a word, in the sheet and before.
        reasons: Reasons beside no word, which are not taken over.
    """

    changed: Mapping[str, int]
    same: int
    empty: int
    reasons: int

    def __str__(self) -> str:
        counts = [f"{self.changed[word]} {word}" for word in REVIEWS if self.changed.get(word)]
        said = ", ".join(counts) or "no new decision"
        lost = f"; {self.reasons} reason(s) beside no word were left out" if self.reasons else ""
        return f"{said}; {self.same} as before, {self.empty} left undecided{lost}"


def import_sheet(path: Path, decisions: Decisions) -> Imported:
    """Take over the words of a sheet, all of them or none.

    Raises:
        DataError: It cannot be read, holds an unknown word, a turn that is no number, a row that the run has not, or
            two words about one row.
    """
    verdicts: dict[int, Verdict] = {}
    without: list[int] = []
    reasons = 0
    known = {key_of(key): place for place, key in enumerate(decisions.flags.keys)}
    for line, cells in _lines(path):
        word = unguarded(cells["review"].strip()).lower()
        place = _place(cells, known, decisions, f"{path}: line {line}")
        if place is None:
            name = shown(unguarded(cells.get("id") or cells.get("key") or ""))
            raise DataError(f"{path}: line {line}: row {name} is none of this run; import the sheet of this run")
        why = unguarded(cells.get("why") or "").strip()
        if not word:
            without.append(place)
            reasons += bool(why)
            continue
        if word not in REVIEWS:
            raise DataError(f"{path}: line {line}: review holds {shown(word)}; use one of {', '.join(REVIEWS)}")
        if place in verdicts and verdicts[place].word != word:
            raise DataError(f"{path}: line {line}: two decisions about the same row; keep one of them")
        verdicts[place] = Verdict(word, why)
    made = decisions.decide(verdicts)
    empty = sum(decisions.words[place] == "auto" for place in without)
    same = len(verdicts) - len(made) + len(without) - empty
    return Imported(Counter(decision.review for decision in made), same, empty, reasons)


def _place(cells: Mapping[str, str], known: Mapping[str, int], decisions: Decisions, where: str) -> int | None:
    """The row that a line is about: by its key, else by id and turn."""
    if key := (cells.get("key") or "").strip():
        return known.get(key)
    turn = (cells.get("turn") or "").strip() or "0"
    if not turn.isdecimal() or len(turn) > MOST_DIGITS:
        raise DataError(f"{where}: turn holds {shown(turn)}; write the number of the turn, from 0, or leave it empty")
    return decisions.place((unguarded(cells.get("id") or ""), int(turn)))


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of each row of a sheet; separated by comma, semicolon or tab, as spreadsheets save it."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot read it ({error.strerror}); check the path") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: it is not UTF-8; save it as CSV UTF-8") from None
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    before = csv.field_size_limit(max(len(text), 131_072))
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, restval="")
        names = [(name or "").strip().lower() for name in reader.fieldnames or []]
        if "review" not in names or not {"key", "id"} & set(names):
            raise DataError(f"{path}: no columns review and key (or id); export the sheet with byorn review --export")
        if names.count("review") > 1:
            raise DataError(f"{path}: it has {names.count('review')} columns called review; keep the one to be read")
        reader.fieldnames = names
        for cells in reader:
            filled = {name: cell for name, cell in cells.items() if isinstance(cell, str) and name}
            if any(cell.strip() for cell in filled.values()):  # spreadsheets save rows that were emptied
                yield reader.line_num, filled
    except csv.Error as error:
        raise DataError(f"{path}: it is no CSV ({error}); export the sheet again") from None
    finally:
        csv.field_size_limit(before)
