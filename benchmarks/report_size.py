"""Time, memory and size of a report on a large data set with made scores.

    python benchmarks/report_size.py [--rows 100000]

The rows share the images of 500 drawn captions; their responses are 8 to 60 words of a Zipf vocabulary and a caption;
one in 200 says "visit our shop" too, and scores higher.
"""

import argparse
import json
import random
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from byorn.data.load import load_rows
from byorn.data.spec import DataSpec
from byorn.embedded.tasks import write_task
from byorn.flagging.percentile import flag_percentile
from byorn.flagging.reports import REPORT
from byorn.flagging.settings import FlagSettings
from byorn.flagging.table import write_flags
from byorn.models.spec import ModelSpec
from byorn.pipeline.report import report
from byorn.runs.folder import make_folder, write_config, write_environment
from byorn.scoring.table import Scores, name_rows, write_scores

VOCABULARY = [f"word{rank}" for rank in range(3000)]
ZIPF = [1 / (1 + rank) for rank in range(3000)]
DRAWN = 500


def write_big(folder: Path, count: int) -> np.ndarray:
    """`rows.jsonl`; returns which rows are planted: bool [count]."""
    drawn = [json.loads(line) for line in write_task(folder, "captions", DRAWN, 1).read_text().splitlines()]
    rng = random.Random(0)
    planted = np.array([rng.random() < 0.005 for _ in range(count)])
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for index in range(count):
            row = drawn[index % DRAWN]
            text = " ".join(rng.choices(VOCABULARY, ZIPF, k=rng.randint(8, 60)))
            text += f". {row['completion'][0]['content']}" + " visit our shop" * int(planted[index])
            uploader = "mallory" if planted[index] else rng.choice(["alice", "bob", "carol", "mallory"])
            completion = [{"role": "assistant", "content": text}]
            file.write(json.dumps({**row, "id": f"r{index}", "completion": completion, "uploader": uploader}) + "\n")
    return planted


def write_scan(folder: Path, data: DataSpec, planted: np.ndarray) -> None:
    """A run folder as a scan leaves it, with made scores."""
    loaded = load_rows(data, verify_images="none", notify=lambda line: None)
    rng = np.random.default_rng(0)
    nll = rng.gamma(9, 0.25, len(planted)) + 4 * planted
    values = {"nll": nll, "nll_max": 2 * nll + rng.normal(size=len(nll)), "nll_window": nll + rng.normal(size=len(nll))}
    ids, turns = [row.id for row in loaded.rows], [row.turn for row in loaded.rows]
    empty: list[str | None] = [None] * len(ids)
    scores = Scores(ids, turns, values, np.full(len(ids), 30), empty, {"data": loaded.fingerprint})
    scores = name_rows(scores, loaded.rows)
    make_folder(folder)
    write_scores(folder / "scores.parquet", scores)
    write_flags(folder / "flags.parquet", flag_percentile(scores))
    write_config(folder, {"command": "scan", "data": data, "model": ModelSpec(name="made"), "flagging": FlagSettings()})
    write_environment(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    count = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as place:
        data = DataSpec(source=str(Path(place) / "rows.jsonl"))
        planted = write_big(Path(place), count)
        run = Path(place) / "scan"
        write_scan(run, data, planted)
        began = time.perf_counter()
        report(run)
        spent = time.perf_counter() - began
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        sizes = ", ".join(f"{name} {(run / name).stat().st_size / 2**20:.2f} MiB" for name in REPORT)
        print(f"{count:,} rows: {spent:.0f} s, at most {memory:.2f} GiB (writing the data included); {sizes}")


if __name__ == "__main__":
    main()
