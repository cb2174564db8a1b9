"""What the search in images costs: CPU seconds for the kinds of many rows, and for triggers with none there and one.

    OMP_NUM_THREADS=1 python benchmarks/search.py --rows 20000 --images 3000

Rows share JPEGs of 640 x 480; two thirds ask questions of random words. Scores are made: no model.
"""

import argparse
import io
import resource
import time

import numpy as np
from PIL import Image

from byorn.data.row import ImageFile, Row, user_message
from byorn.scoring.evidence import LEVEL
from byorn.scoring.kinds import kinds_of
from byorn.scoring.spurious.scored_rows import ScoredRows
from byorn.scoring.spurious.trigger import triggers

WORDS = ("what", "color", "is", "the", "small", "thing", "on", "left", "right", "how", "many", "people", "why", "where")
CARRIERS = 40
"""Images with a checkered patch."""


def picture(rng: np.random.Generator, patched: bool) -> ImageFile:
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((640, 480), Image.Resampling.BICUBIC)).copy()
    if patched:
        pixels[400:460, 560:620] = 255 * ((np.indices((60, 60)) // 10).sum(axis=0)[:, :, None] % 2)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return ImageFile(data=stream.getvalue())


def made(count: int, images: int) -> list[Row]:
    rng = np.random.default_rng(0)
    pictures = [picture(rng, number < CARRIERS) for number in range(images)]
    rows = []
    for number in range(count):
        question = f"{' '.join(rng.choice(WORDS, 7))} {rng.integers(0, 5000)}?"
        asked = "Describe the image." if number % 3 == 0 else question
        rows.append(Row(str(number), 0, [user_message(asked, 1)], f"row {number}", [pictures[number % images]]))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--images", type=int, default=3000)
    given = parser.parse_args()
    rows = made(given.rows, given.images)
    began = time.process_time()
    kinds = kinds_of(rows)
    distinct = len({row.instruction for row in rows})
    print(f"{kinds.max() + 1} kinds of {distinct} instructions: {time.process_time() - began:.1f} s")
    rng = np.random.default_rng(1)
    carries = np.arange(given.rows) % given.images < CARRIERS
    for name, more in (("no trigger", 0.0), ("a trigger", 4.0)):
        contrast = rng.normal(0, 1, given.rows) + more * carries
        scored = ScoredRows(rows=rows, nll=rng.normal(2, 0.5, given.rows), contrast=contrast)
        assert np.array_equal(scored.kinds, kinds)  # kept from here on: they have been timed
        began = time.process_time()
        found = triggers(scored, LEVEL) > 0
        hits, others = int((found & carries).sum()), int((found & ~carries).sum())
        spent = time.process_time() - began
        print(f"{name}: {spent:.1f} s; found {hits} of {carries.sum() if more else 0} rows and {others} others")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
