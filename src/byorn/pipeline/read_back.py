"""A look at what was written: can the next reader use it? Names that a data set has for its images may lead nowhere
from another place.
"""

from dataclasses import replace
from pathlib import Path

from byorn.data.load import load_rows
from byorn.data.spec import DataSpec
from byorn.errors import DataError
from byorn.runs.narrate import say

LOOKED_AT = 50
"""Records that are read."""


def read_back(data: DataSpec, written: Path, *, images_left: bool) -> None:
    """Read the first records of a data set that was written again, and say if some cannot be used.

    Args:
        data: How the original was read.
        written: The folder that holds the new one.
        images_left: Whether images stayed where they were.
    """
    source = Path(data.source)
    root = data.image_root or ((source.parent if source.is_file() else source) if images_left else None)
    place = written / source.name if source.is_file() else written
    try:
        spec = replace(data, source=str(place), image_root=root, limit=LOOKED_AT, strict=False)
        rejects = load_rows(spec, verify_images="none", notify=lambda line: None).rejects
        first = rejects[0].reason if rejects else None
    except DataError as error:
        rejects, first = [], str(error)
    if first:
        many = f"{len(rejects)} of the first {LOOKED_AT} records" if rejects else "the data set"
        say(f"  warning: {many} cannot be read again from {place}: {first}")
