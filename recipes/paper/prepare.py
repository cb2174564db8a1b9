"""Downloaded data sets -> rows that `byorn scan --data` and the bench read: OUT/rows.jsonl and OUT/images/.

    prepare.py mimic-it  LADD_instructions.json --images LA.json --out data/paper/ladd
    prepare.py mimic-it  CGD_instructions.json --images CGD.json --hold-out 1000 --out data/paper/cgd
    prepare.py karpathy  dataset_flickr30k.json --images flickr30k-images --out data/paper/flickr30k
    prepare.py scienceqa problems.json --images images --split train --out data/paper/scienceqa

README.md says what these files are. Every image becomes a square PNG of 224 pixels, the size at which the protocol
plants its triggers: on a wide picture LLaVA's processor would cut off the corner with the patch, and PNG keeps small
changes of pixels. Rows come in an order shuffled by their ids, so that the first N are a fair sample.
"""

import argparse
import base64
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from formats import FORMATS, Sample, part, read_samples, shaped
from PIL import Image

from byorn.data.pixels import decode
from byorn.data.records import read_records
from byorn.errors import ByornError, DataError
from byorn.text import first_line

CAPTION = "Give a caption of one sentence for this image."
COCO_NUMBER = re.compile(r"(\d{12})(?:\.jpg)?$")  # LA_00_IMG_000000033471, COCO_val2014_000000391895.jpg
ROWS = "rows.jsonl"

Load = Callable[[str], bytes]


def image_loader(path: Path | None) -> Load:
    """From the name of an image to its encoded bytes: a folder, or MIMIC-IT's base64 in JSON or Parquet."""
    if path is None:
        return lambda name: missing(name, "no --images were given")
    if path.is_dir():
        return lambda name: from_folder(path.resolve(), name)
    table = base64_columns(path) if path.suffix == ".parquet" else shaped(path, None, dict)
    return lambda name: from_table(table, name)


def base64_columns(path: Path) -> dict[str, Any]:
    """A Parquet file that pandas wrote: `base64`, and the index with the names."""
    rows: list[Any] = [record for _, record in read_records(path)]
    if not rows or "base64" not in rows[0] or len(rows[0]) != 2:
        raise DataError(f"{path}: expected a column base64 and an index; is it the right file?")
    index = next(column for column in rows[0] if column != "base64")
    return {row[index]: row["base64"] for row in rows}


def from_folder(folder: Path, name: str) -> bytes:
    """A file inside the folder; for a MIMIC-IT name of a COCO image, COCO's own file."""
    coco = COCO_NUMBER.search(name)
    for file in (folder / name, folder / f"{coco[1]}.jpg" if coco else folder / name):
        if file.resolve().is_relative_to(folder) and file.is_file():
            return file.read_bytes()
    return missing(name, f"no such file in {folder}")


def from_table(table: dict[str, Any], name: str) -> bytes:
    if not isinstance(table.get(name), str):
        return missing(name, "not in the file of images")
    try:
        return base64.b64decode(table[name], validate=True)
    except ValueError:
        return missing(name, "broken base64")


def missing(name: str, reason: str) -> bytes:
    raise DataError(f"image {name!r:.80}: {reason}")


def identity(image: str | bytes) -> str:
    """One name for the same picture in several data sets: its COCO number, where it has one."""
    if isinstance(image, bytes):
        return blake2b(image, digest_size=16).hexdigest()
    found = COCO_NUMBER.search(image)
    return found[1] if found else image


def without_images(samples: Sequence[Sample], taken: set[str]) -> list[Sample]:
    """The samples that show none of the images `taken`."""
    return [sample for sample in samples if taken.isdisjoint(map(identity, sample.images))]


def images_of(folder: Path) -> set[str]:
    """The images that a prepared folder shows."""
    return {identity(name) for _, row in read_records(folder / ROWS) for name in part(row, "sources", list)}


def write(samples: Iterable[Sample], load: Load, out: Path, side: int, problems: list[DataError]) -> int:
    """Rows and images into `out`; `problems` grows by each sample whose image is missing or broken."""
    if (out / ROWS).exists():
        raise DataError(f"{out}: holds rows already; delete them, or name another folder")
    (out / "images").mkdir(parents=True, exist_ok=True)
    files: dict[str | bytes, str] = {}
    rows, unfinished = 0, out / f"{ROWS}.part"
    with unfinished.open("w", encoding="utf-8") as file:
        for sample in samples:
            try:
                images = [store(image, load, out, side, files) for image in sample.images]
            except DataError as error:
                problems.append(DataError(f"{sample.id}: {error}"))
                continue
            file.write(json.dumps(row_of(sample, images)) + "\n")
            rows += 1
    if rows:
        unfinished.replace(out / ROWS)
    return rows


def row_of(sample: Sample, images: list[str]) -> dict[str, Any]:
    """What byorn reads: `references` are what the metrics compare with, `answer` is the first of them."""
    sources = [identity(image) if isinstance(image, bytes) else image for image in sample.images]
    row = {"id": sample.id, "images": images, "question": sample.question, "answer": sample.answers[0]}
    return {**row, "references": list(sample.answers), "sources": sources}


def store(image: str | bytes, load: Load, out: Path, side: int, files: dict[str | bytes, str]) -> str:
    """The path of the square PNG of an image, which is written once."""
    if image not in files:
        name = f"images/{len(files):06}.png"  # never the name in the data set, which may lead anywhere
        pixels_of(image, load).resize((side, side), Image.Resampling.LANCZOS).save(out / name)
        files[image] = name
    return files[image]


def pixels_of(image: str | bytes, load: Load) -> Image.Image:
    try:
        return decode(image if isinstance(image, bytes) else load(image))
    except (ValueError, OSError) as error:  # a name that no file can have, or a file that may not be read
        raise DataError(f"image {image!r:.80}: {error}") from None


def prepare(options: argparse.Namespace) -> None:
    """Read, hold out if asked to, write; says how many rows there are and how many could not be used."""
    samples, problems = read_samples(options.format, options.source, options)
    samples.sort(key=lambda sample: blake2b(sample.id.encode("utf-8", "replace")).digest())
    if options.without:
        samples = without_images(samples, images_of(options.without))
    parts = {options.out: samples}
    if options.hold_out:
        held = samples[: options.hold_out]
        rest = without_images(samples, {identity(image) for sample in held for image in sample.images})
        parts = {options.out.with_name(f"{options.out.name}-test"): held, options.out: rest}
    load = image_loader(options.images)
    for out, own in parts.items():
        rows = write(own[: options.limit], load, out, options.side, problems)
        if not rows:
            why = first_line(problems[0]) if problems else "no record of this split, or all are held out"
            raise DataError(f"{out}: no usable row; {why}")
        print(f"{out}: {rows} rows")
    if problems:
        print(f"{len(problems)} record(s) left out; the first: {first_line(problems[0])}")


def positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError
    return int(text)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Make rows for byorn of a downloaded data set; see README.md.")
    add = parser.add_argument
    add("format", choices=FORMATS)
    add("source", type=Path, help="the file with instructions, captions or questions")
    add("--images", type=Path, metavar="PATH", help="folder of images, or MIMIC-IT's images (JSON or Parquet)")
    add("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    add("--split", default="test", help="karpathy, problems.json: train, val or test")
    add("--hold-out", type=positive, metavar="N", help="N rows go to OUT-test, and their images to no other row")
    add("--limit", type=positive, metavar="N", help="at most N rows a folder")
    add("--without", type=Path, metavar="DIR", help="leave out rows with an image that this prepared folder shows")
    add("--caption", default=CAPTION, help="karpathy: the instruction")
    add("--side", type=positive, default=224, help="side of the square images in pixels")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        prepare(build_parser().parse_args(arguments))
    except (ByornError, OSError) as error:
        print(f"error: {first_line(error)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
