"""What becomes of a record."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from byorn.data.readers.reader import Answer
from byorn.errors import DataError
from byorn.text import first_line


@dataclass(frozen=True)
class Edit:
    """What becomes of a record.

    Attributes:
        keep: It stays in the data set; else it goes to the quarantine, as it is.
        responses: New responses by turn.
        marks: New columns.
    """

    keep: bool = True
    responses: Mapping[int, str] = field(default_factory=dict)
    marks: Mapping[str, object] = field(default_factory=dict)

    @property
    def changes(self) -> bool:
        """Whether the record itself changes."""
        return self.keep and bool(self.responses or self.marks)


Edits = Mapping[int, Edit]
"""Record number -> what becomes of it; a record that is not there is left out."""


@dataclass(frozen=True)
class Job:
    """A file to write again.

    Attributes:
        source: The file, or the folder that `save_to_disk` wrote.
        edits: What becomes of its records.
        answer: Puts responses into a record.
        kept, quarantined: The files (folders) to write. One that would hold no record is not written.
    """

    source: Path
    edits: Edits
    answer: Answer
    kept: Path
    quarantined: Path

    def goes(self, number: int, keep: bool) -> bool:
        """Whether a record stays in the data set (`keep`), or goes to the quarantine."""
        edit = self.edits.get(number)
        return edit is not None and edit.keep is keep

    def wanted(self) -> Iterator[tuple[Path, bool]]:
        """The files to write, each with whether it is the data set's."""
        for path, keep in ((self.kept, True), (self.quarantined, False)):
            if any(edit.keep is keep for edit in self.edits.values()):
                yield path, keep


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """What goes wrong while a file is written again, as one line: it was readable a moment ago.

    Raises:
        DataError: It changed meanwhile, or holds what cannot be written again.
    """
    import pyarrow as pa

    try:
        yield
    except (ValueError, TypeError, KeyError, RecursionError, pa.ArrowException) as error:
        raise DataError(
            f"{path}: it cannot be written again ({first_line(error)}); if it changed meanwhile, scan it again"
        ) from error
