"""What reading a batch while the model works on the one before saves: seconds of a scan with it and without, in turn.

    OMP_NUM_THREADS=1 python benchmarks/reading.py --wait 0.3

The scan is of pictures of 1,024 x 768 pixels, as JPEG, by a tiny Qwen2.5-VL that sees them at 448 x 448. After each
batch it sleeps for `--wait` seconds: in place of a model on a GPU, whose work leaves the processor free. No GPU was
measured.
"""

import argparse
import io
import time
from dataclasses import replace
from statistics import mean
from typing import Any

import numpy as np
import torch
from PIL import Image

from byorn.data.dataset import to_dataset
from byorn.data.row import ImageFile, Row
from byorn.runs.narrate import quiet_libraries
from byorn.scoring import scorer
from byorn.scoring.reader import Reader
from byorn.scoring.score import score_dataset
from byorn.testing import build_family, tiny_rows

SIDE = 448
WIDE, HIGH = 1024, 768


def pictures(count: int) -> list[Row]:
    """Rows with smooth noise, which has details as a photograph has."""
    rng = np.random.default_rng(0)
    rows = []
    for row in tiny_rows(count):
        coarse = Image.fromarray(rng.integers(0, 256, (HIGH // 8, WIDE // 8, 3), dtype=np.uint8))
        file = io.BytesIO()
        coarse.resize((WIDE, HIGH), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        rows.append(replace(row, images=[ImageFile(data=file.getvalue())]))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--wait", type=float, default=0.3)
    given = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(1)
    model, processor = build_family("qwen2_5_vl")
    processor.image_processor.size = {"shortest_edge": SIDE**2, "longest_edge": SIDE**2}
    dataset = to_dataset(pictures(given.rows))
    real, expect = scorer.tokens_of, Reader.expect  # type: ignore[attr-defined]

    def slow(*arguments: Any) -> Any:
        found = real(*arguments)
        time.sleep(given.wait)
        return found

    scorer.tokens_of = slow  # type: ignore[assignment, attr-defined]
    seconds: dict[str, list[float]] = {"one after the other": [], "ahead": []}
    for _ in range(given.turns + 1):  # the first one warms up
        for arm, found in seconds.items():
            Reader.expect = expect if arm == "ahead" else lambda self, batches: None  # type: ignore[method-assign]
            began = time.perf_counter()
            score_dataset(model, processor, dataset, batch_size=given.batch)
            found.append(time.perf_counter() - began)
    asleep = given.wait * -(-given.rows // given.batch)
    ratios = [f"{ahead / before:.2f}" for before, ahead in zip(*seconds.values(), strict=True)][1:]
    for arm, found in seconds.items():
        print(f"{arm}: {mean(found[1:]):.2f} s, of which the model sleeps {asleep:.1f}")
    print(f"ahead over the other, by turn: {', '.join(ratios)}")


if __name__ == "__main__":
    main()
