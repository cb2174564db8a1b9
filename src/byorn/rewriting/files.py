"""A file or saved folder, written again in its own format."""

from byorn.data.records import layout_of
from byorn.rewriting.edit import Job, readable
from byorn.rewriting.tables import rewrite_parquet, rewrite_saved
from byorn.rewriting.texts import rewrite_json, rewrite_lines

FORMATS = {"parquet": rewrite_parquet, "lines": rewrite_lines, "json": rewrite_json}


def rewrite(job: Job) -> None:
    """Write the records that stay, and those that go, where the job says; each file appears whole or not at all.

    Raises:
        DataError: The source changed since it was read, or holds what cannot be written again.
    """
    with readable(job.source):
        if job.source.is_dir():
            rewrite_saved(job)
        else:
            FORMATS[layout_of(job.source)](job)
