"""Scans of a small data set, rewritten from the command line."""

import pyarrow as pa
import pyarrow.parquet as pq

from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.flagging.table import read_flags
from byorn.testing import save_tiny, tiny_rows


def scanned(folder):
    """The folder with a model, a data set of twelve rows, and a scan that flags five of them."""
    save_tiny(folder / "model")
    write_rows(tiny_rows(12), folder / "data")
    assert scan(folder, "data", "scan") == 0
    return folder


def scan(place, data, out, *more):
    options = ["--model", str(place / "model"), "--device", "cpu", "--show", "0", "--rule", "paper", *more]
    return main(["scan", "--data", str(place / data), "--out", str(place / out), *options])


def rewrite(place, run, out, mode, *more):
    return main(["rewrite", str(place / run), "--out", str(place / out), "--mode", mode, *more])


def decide(path, words):
    """Write what a person decided into flags, by row id."""
    table = pq.read_table(path)
    review = [words.get(name, "auto") for name in table["id"].to_pylist()]
    pq.write_table(table.set_column(table.column_names.index("review"), "review", pa.array(review)), path)


def lines(path):
    return path.read_text().splitlines()


def flagged_ids(place, run="scan"):
    flags = read_flags(place / run / "flags.parquet")
    return [name for name, flag in zip(flags.ids, flags.flagged, strict=True) if flag]
