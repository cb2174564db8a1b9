"""A trigger hypothesis put onto inputs that it was not found in: does a tuned model go by it?

words        as the cluster spells them, where most of its instructions have them: in front, behind or in the middle;
             with a strange letter in them, in place of the words that they look like
character    the word that holds it, likewise
region       cut out of images of the cluster, row by row another one, and put into the same place
picture, texture, spectrum    the mean image of the cluster less the mean of the others, added
"""

import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from byorn.data.problem import RowProblem
from byorn.data.row import ImageFile, Row, rephrased
from byorn.patterns.hypotheses import Box
from byorn.patterns.images import Pattern
from byorn.patterns.thumbnails import SIDE
from byorn.phrases.spelling import as_written
from byorn.phrases.words import ends_of
from byorn.report.evidence import Finding
from byorn.report.instructions import SharedText
from byorn.report.words import quoted

SOURCES = 24
"""Images of the cluster, and as many others, that an image pattern is taken from."""
LARGEST = 2048
"""Pixels of the longer side; larger images are made so small first."""
Change = Callable[[Image.Image, int], Image.Image]


@dataclass(frozen=True, kw_only=True)
class Graft:
    """A trigger hypothesis, ready to be put onto rows.

    Attributes:
        name: What it is, in words.
        write: What becomes of an instruction; None where the hypothesis has no words.
        draw: What becomes of an image, with the number of its row; None where it has no pattern.
    """

    name: str
    write: Callable[[str], str] | None
    draw: Change | None

    def onto(self, rows: Sequence[Row]) -> list[Row]:
        """The rows that could take it, with it; responses stay."""
        found = [self._one(row, number) for number, row in enumerate(rows)]
        return [row for row in found if row is not None]

    def _one(self, row: Row, number: int) -> Row | None:
        written = row if self.write is None else rephrased(row, self.write)
        if self.write is not None and written.prompt == row.prompt:
            return None
        if self.draw is None:
            return written
        drawn = [_drawn(image, number, self.draw) for image in row.images]
        images = [image for image in drawn if image is not None]
        return replace(written, images=images) if images and len(images) == len(drawn) else None


def graft(rows: Sequence[Row], finding: Finding, others: np.ndarray) -> Graft | None:
    """What the inputs of a finding share, to put it onto others: its first words and its first pattern together, since
    a trigger may need both; None where they share nothing.

    Args:
        rows: All rows.
        finding: A cluster with what its inputs share.
        others: int array, numbers of rows that are not in a cluster.
    """
    inside = [rows[number] for number in finding.cluster.rows]
    sources = _images(inside) if finding.patterns else []
    text = finding.texts[0] if finding.texts else None
    pattern = finding.patterns[0] if sources else None
    named = [
        *([f"{quoted(text.text)} in the instruction"] if text else []),
        *([f"the {pattern.kind} in the image"] if pattern else []),
    ]
    if not named:
        return None
    return Graft(
        name=" and ".join(named),
        write=_writer(text, [row.instruction for row in inside]) if text else None,
        draw=_painter(pattern, sources, [rows[number] for number in others]) if pattern else None,
    )


def _writer(shared: SharedText, instructions: Sequence[str]) -> Callable[[str], str]:
    """Puts words where the cluster has them; a word with a strange letter in place of the word that it looks like."""
    if shared.kind == "character":
        holding = [word for text in instructions for word in ends_of(text).split() if shared.text in word]
        spelled = Counter(holding).most_common(1)[0][0] if holding else shared.text
    else:
        spelled = as_written(instructions, shared.text.split(" "))
    place = _place(spelled, instructions)
    twin = _twin(spelled)

    def write(text: str) -> str:
        if twin is not None and twin.search(text):
            return twin.sub(lambda match: spelled, text, count=1)
        words = text.split(" ")
        at = round(place * len(words))
        return " ".join([*words[:at], spelled, *words[at:]])

    return write


def _twin(spelled: str) -> re.Pattern[str] | None:
    """What words with a strange letter in them look like; None for plain words, and for those of another script."""
    strange = [letter for letter in spelled if letter.isalpha() and not letter.isascii()]
    if not 0 < len(strange) < len(spelled) / 2:
        return None
    letters = [r"\w" if letter in strange else re.escape(letter) for letter in spelled]
    return re.compile(rf"(?<!\w){''.join(letters)}(?!\w)", re.IGNORECASE)


def _place(spelled: str, instructions: Sequence[str]) -> float:
    """Where the words stand: 0 in front, 1 behind, else 1/2."""
    before = [text.index(spelled) / max(1, len(text) - len(spelled)) for text in instructions if spelled in text]
    middle = float(np.median(before)) if before else 1.0
    return round(2 * middle) / 2


def _painter(pattern: Pattern, sources: Sequence[Sequence[Image.Image]], outside: Sequence[Row]) -> Change:
    if pattern.box is not None:
        return _patcher(pattern, pattern.box, sources)
    return _adder(sources, _images(outside))


def _images(rows: Sequence[Row]) -> list[list[Image.Image]]:
    """The images of some rows; what cannot be opened is left out."""
    found = [[image for file in row.images[:4] if (image := _shrunk(file)) is not None] for row in rows[:SOURCES]]
    return [images for images in found if images]


def _shrunk(file: ImageFile) -> Image.Image | None:
    try:
        image = file.load()
    except (OSError, RowProblem):
        return None
    image.thumbnail((LARGEST, LARGEST))
    return image


def _patcher(pattern: Pattern, box: Box, sources: Sequence[Sequence[Image.Image]]) -> Change:
    """Puts the region of a source into an image; of several images of a row, the one that is most like the mean."""
    nearest = [min(images, key=lambda image: _distance(image, pattern, box)) for images in sources]
    patches = [image.crop(_pixels(box, image.size)) for image in nearest]

    def draw(image: Image.Image, number: int) -> Image.Image:
        left, top, right, bottom = _pixels(box, image.size)
        changed = image.copy()
        changed.paste(patches[number % len(patches)].resize((right - left, bottom - top)), (left, top))
        return changed

    return draw


def _distance(image: Image.Image, pattern: Pattern, box: Box) -> float:
    left, top, right, bottom = _pixels(box, (SIDE, SIDE))
    small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)
    return float(np.abs(small - pattern.mean_inside)[top:bottom, left:right].mean())


def _pixels(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box in pixels of an image, at least one wide and high."""
    width, height = size
    left, top = min(round(box.left * width), width - 1), min(round(box.top * height), height - 1)
    return left, top, max(left + 1, round(box.right * width)), max(top + 1, round(box.bottom * height))


def _adder(inside: Sequence[Sequence[Image.Image]], outside: Sequence[Sequence[Image.Image]]) -> Change:
    """Adds the difference of the two mean images, at the size of each image."""
    made: dict[tuple[int, int], np.ndarray] = {}

    def draw(image: Image.Image, number: int) -> Image.Image:
        if image.size not in made:
            made.clear()  # images of many sizes must not fill the memory
            made[image.size] = _mean(inside, image.size) - _mean(outside, image.size)
        pixels = np.asarray(image, dtype=np.float32) + made[image.size]
        return Image.fromarray(np.clip(pixels.round(), 0, 255).astype(np.uint8))

    return draw


def _mean(sources: Sequence[Sequence[Image.Image]], size: tuple[int, int]) -> np.ndarray:
    total = np.zeros((size[1], size[0], 3), dtype=np.float32)
    images = [image for row in sources for image in row]
    for image in images:
        total += np.asarray(image.resize(size), dtype=np.float32)
    return total / max(1, len(images))


def _drawn(file: ImageFile, number: int, change: Change) -> ImageFile | None:
    image = _shrunk(file)
    if image is None:
        return None
    stream = io.BytesIO()
    change(image, number).save(stream, "PNG", compress_level=1)
    return ImageFile(data=stream.getvalue(), name=file.name)
