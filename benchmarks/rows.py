"""What rows cost before and after the model: peak memory and CPU seconds of each phase of a scan without its forward
passes.

    python benchmarks/rows.py make FOLDER --rows 1000 100000       # a LLaVA JSON, Parquet shards, a TRL JSONL
    python benchmarks/rows.py measure FOLDER --rows 1000 100000    # a table, one process a data set

Captions are random words; a few hundred small images are shared by all rows. Memory is the peak resident set of a phase
over what the process holds by imports, in MB, then what is left at its end; mapped files count as long as the system
leaves them there. CPU seconds are those of all threads. Scores are random numbers, so the report finds nothing.
"""

import argparse
import ctypes
import gc
import io
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

NAMES = {"llava": "train.json", "parquet": "data", "trl": "train.jsonl"}
Found = dict[str, dict[str, float]]
IMAGES = 300
WORDS = 2000
SHARD = 20_000
FIELDS = {"peak": "VmHWM", "rss": "VmRSS", "file": "RssFile"}
STATUS = Path("/proc/self/status")


def make(folder: Path, count: int) -> None:
    """The three data sets of `count` rows in `folder/count`, beside their images."""
    target = folder / str(count)
    (target / "images").mkdir(parents=True, exist_ok=True)
    (target / "data").mkdir(exist_ok=True)
    pictures = [_picture(number) for number in range(IMAGES)]
    for number, data in enumerate(pictures):
        (target / "images" / f"{number:06d}.jpg").write_bytes(data)
    with (target / "train.json").open("w") as file:
        for number, row in enumerate(_texts(count)):
            file.write(("[" if number == 0 else ",") + "\n" + json.dumps(_llava(number, *row)))
        file.write("\n]\n")
    with (target / "train.jsonl").open("w") as file:
        for number, row in enumerate(_texts(count)):
            file.write(json.dumps(_trl(number, *row)) + "\n")
    _make_shards(target / "data", count, pictures)


def _texts(count: int) -> Iterator[tuple[str, str, str]]:
    """Question, answer and source of each row."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnoprstu", k=draw.randint(2, 9))) for _ in range(WORDS)]
    for _ in range(count):
        yield (
            " ".join(draw.choices(words, k=draw.randint(6, 12))) + "?",
            " ".join(draw.choices(words, k=draw.randint(10, 40))) + ".",
            f"source-{draw.randint(0, 9)}",
        )


def _llava(number: int, question: str, answer: str, source: str) -> dict[str, object]:
    turns = [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]
    return {"id": f"{number:012d}", "image": _image_name(number), "conversations": turns, "source": source}


def _trl(number: int, question: str, answer: str, source: str) -> dict[str, object]:
    content = [{"type": "image"}, {"type": "text", "text": question}]
    return {
        "prompt": [{"role": "user", "content": content}],
        "completion": [{"role": "assistant", "content": [{"type": "text", "text": answer}]}],
        "images": [_image_name(number)],
        "source": source,
    }


def _image_name(number: int) -> str:
    return f"images/{number % IMAGES:06d}.jpg"


def _make_shards(folder: Path, count: int, pictures: list[bytes]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = list(_texts(count))
    shards = -(-count // SHARD)
    for shard in range(shards):
        numbers = range(shard * SHARD, min(count, (shard + 1) * SHARD))
        images = [[{"bytes": pictures[number % IMAGES], "path": f"{number % IMAGES:06d}.jpg"}] for number in numbers]
        texts = [
            [{"role": "user", "content": rows[number][0]}, {"role": "assistant", "content": rows[number][1]}]
            for number in numbers
        ]
        sources = [rows[number][2] for number in numbers]
        ids = [f"{number:012d}" for number in numbers]
        table = pa.table({"id": ids, "images": images, "messages": texts, "source": sources})
        pq.write_table(table, folder / f"train-{shard:05d}-of-{shards:05d}.parquet", row_group_size=1000)


def _picture(number: int) -> bytes:
    import numpy as np
    from PIL import Image

    buffer = io.BytesIO()
    noise = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((64, 64)).save(buffer, "JPEG")
    return buffer.getvalue()


class Reached(Exception):
    """The last phase that was asked for is over."""


class Meter:
    """Memory and CPU seconds of phases; memory counts from here on, less what is imported between phases.

    Args:
        until: The last phase.
    """

    def __init__(self, until: str) -> None:
        self.found: Found = {}
        self._until = until
        _settle()
        self._floor = self._before = _status()["rss"]

    def phase(self, name: str, run: Callable[[], Any]) -> Any:
        _settle()
        before = _status()
        self._floor += before["rss"] - self._before
        began = time.process_time()
        result = run()
        cpu = time.process_time() - began
        peak = _status()["peak"]
        _settle()
        after = _status()
        self._before = after["rss"]
        self.found[name] = {
            "cpu": round(cpu, 3),
            "peak": round(peak - self._floor, 1),
            "kept": round(after["rss"] - self._floor, 1),
            "file": round(after["file"] - before["file"], 1),
        }
        print(name, self.found[name], file=sys.stderr)
        if name == self._until:
            raise Reached
        return result


def _settle() -> None:
    """Freed blocks go back to the system, so that the next peak is its phase's own."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def _status() -> dict[str, float]:
    text = STATUS.read_text()
    lines = {name: re.search(rf"{key}:\s+(\d+) kB", text) for name, key in FIELDS.items()}
    return {name: int(match[1]) * 1024 / 1e6 for name, match in lines.items() if match}


def measure(source: Path, until: str) -> Found:
    """The phases of a scan of one data set in this process, up to one of them; what a phase needs is imported before
    it, and counts for none.
    """
    from byorn.data.fingerprint import fingerprint
    from byorn.data.load import load_rows

    import_all("pyarrow.parquet")
    meter = Meter(until)
    with suppress(Reached), tempfile.TemporaryDirectory() as folder:
        loaded = meter.phase("reading", lambda: load_rows(source))
        print(f"{len(loaded.rows)} rows, fingerprint {loaded.fingerprint}", file=sys.stderr)
        meter.phase("fingerprint", lambda: fingerprint(loaded.rows))
        measure_data_set(meter, loaded.rows)
        measure_tables(meter, loaded, source, Path(folder))
        measure_checks(meter, loaded)
    return meter.found


def measure_data_set(meter: Meter, rows: Any) -> None:
    from byorn.data.dataset import to_dataset
    from byorn.runs.batches import length_order

    import_all("datasets")
    dataset = meter.phase("to_dataset", lambda: to_dataset(rows))
    meter.phase("length order", lambda: length_order(dataset))


def measure_tables(meter: Meter, loaded: Any, source: Path, out: Path) -> None:
    """The journal, `scores.parquet`, `flags.parquet` and the report, of scores that are random numbers."""
    import numpy as np

    from byorn.flagging.rules import flag
    from byorn.flagging.settings import FlagSettings
    from byorn.flagging.table import write_flags
    from byorn.pipeline.report import write_report
    from byorn.report.run import Run
    from byorn.runs.stage import run_stage
    from byorn.scoring.table import from_records, name_rows, read_scores, write_scores

    noise = np.random.default_rng(0).gamma(2.0, 1.0, len(loaded.rows))
    keys = [row.key for row in loaded.rows]

    def compute(batch: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        for index in batch:
            value = float(noise[index])
            values = {"nll": value, "nll_max": 2 * value, "nll_window": 1.5 * value}
            yield index, {"id": keys[index][0], "turn": keys[index][1], **values, "tokens": 20, "reason": None}

    def write(records: list[dict[str, Any]]) -> None:
        write_scores(path, name_rows(from_records(records, {}), loaded.rows))

    path = out / "scores.parquet"
    fields = frozenset({"id", "turn", "nll", "nll_max", "nll_window", "tokens", "reason"})
    meter.phase("scores", lambda: run_stage(path, {}, fields, range(len(noise)), 8, compute, write))
    scores = meter.phase("scores read", lambda: read_scores(path))
    flags = meter.phase("flags", lambda: flag(scores, FlagSettings(rule="paper")))
    meter.phase("flags written", lambda: write_flags(out / "flags.parquet", flags))
    run = Run(folder=out, rows=loaded.rows, scores=scores, flags=flags, statistic="nll", rejects=loaded.rejects,
              config={"data": {"source": str(source)}}, environment={})  # fmt: skip
    meter.phase("report", lambda: write_report(run))


def measure_checks(meter: Meter, loaded: Any) -> None:
    """The chat template and the token counts, by the processor of the embedded model."""
    from byorn.models.inputs import fitting
    from byorn.models.length import context_length
    from byorn.models.load import load_config, load_processor
    from byorn.models.spec import ModelSpec

    processor = load_processor("embedded")
    limit = context_length(load_config(ModelSpec(name="embedded")))
    meter.phase("checks", lambda: fitting(loaded, processor, limit))


def import_all(*names: str) -> None:
    for name in names:
        import_module(name)


def show(results: dict[str, Found]) -> str:
    """A Markdown table: CPU seconds and megabytes over the floor, by phase."""
    phases = list(dict.fromkeys(phase for found in results.values() for phase in found))
    lines = ["| phase | " + " | ".join(results) + " |", "| --- " * (len(results) + 1) + "|"]
    for phase in phases:
        lines.append(f"| {phase} | " + " | ".join(_cell(found.get(phase)) for found in results.values()) + " |")
    return "\n".join(lines)


def _cell(found: dict[str, float] | None) -> str:
    return "" if found is None else f"{found['cpu']:.2f} s, {found['peak']:.0f} MB, {found['kept']:.0f} kept"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("make", "measure", "one"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000])
    parser.add_argument("--formats", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--until", default="checks", help="the last phase")
    args = parser.parse_args()
    if args.command == "one":
        print(json.dumps(measure(args.folder, args.until)))
        return
    results = {}
    for count in args.rows:
        if args.command == "make":
            make(args.folder, count)
            continue
        for kind in args.formats:
            command = [sys.executable, __file__, "one", str(args.folder / str(count) / NAMES[kind])]
            output = subprocess.run([*command, "--until", args.until], check=True, capture_output=True, text=True)
            results[f"{kind} {count}"] = json.loads(output.stdout.splitlines()[-1])
    print(show(results))


if __name__ == "__main__":
    main()
