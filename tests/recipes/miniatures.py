"""The data sets of the paper in miniature: a few records in the form in which they are distributed."""

import base64
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from byorn.testing import PALETTE

COLORS = list(PALETTE)


def encoded(color, size=(48, 32)):
    buffer = io.BytesIO()
    Image.new("RGB", size, PALETTE[color]).save(buffer, "PNG")
    return buffer.getvalue()


def color_of(number):
    return COLORS[number % len(COLORS)]


def coco_number(number):
    return f"{number:012}"


def write_mimic(folder, name="LADD", count=12, images=1):
    """NAME_instructions.json, and NAME.json with the images in base64; row n shows the images n, n + 1, ..."""
    keys = [f"LA_00_IMG_{coco_number(number)}" for number in range(count + images - 1)]
    data = {
        f"{name}_00_INS_{coco_number(number)}": {
            "instruction": f"<image>\nWhat can you see{'?' * (number % 3 + 1)}",
            "answer": f"a {color_of(number)} square",
            "image_ids": keys[number : number + images],
            "rel_ins_ids": [],
        }
        for number in range(count)
    }
    texts, pictures = folder / f"{name}_instructions.json", folder / f"{name}.json"
    texts.write_text(json.dumps({"meta": {"version": "0.0.1"}, "data": data}))
    table = {key: base64.b64encode(encoded(color_of(number))).decode() for number, key in enumerate(keys)}
    pictures.write_text(json.dumps(table))
    return texts, pictures


def write_karpathy(folder, count=4, filepath=None):
    """dataset_x.json with as many test images and one of the training split, and the folder of the images."""
    pictures, records = folder / "pictures", []
    for number in range(count + 1):
        name = f"COCO_val2014_{coco_number(number)}.jpg"
        place = pictures / (filepath or "") / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(encoded(color_of(number), size=(60, 40)))
        raw = [f"a {color_of(number)} square ", f"one {color_of(number)} thing", f"a plain {color_of(number)} image"]
        record = {"filename": name, "imgid": number, "split": "test" if number < count else "train"}
        sentences = [{"raw": text, "tokens": text.split(), "imgid": number, "sentid": number} for text in raw]
        records.append({**record, "sentences": sentences, **({"filepath": filepath} if filepath else {})})
    path = folder / "dataset_x.json"
    path.write_text(json.dumps({"dataset": "x", "images": records}))
    return path, pictures


def problem(number, **changes):
    return {
        "question": "Which color is this?", "choices": COLORS, "answer": number % 4, "hint": "Look." if number else "",
        "task": "closed choice", "grade": "grade2", "subject": "natural science", "lecture": "", "solution": "",
        **changes,
    }  # fmt: skip


def write_problems(folder, count=4):
    """problems.json and images/SPLIT/KEY/image.png; one more question has no image, one is of another split."""
    problems = {str(number): problem(number, image="image.png", split="test") for number in range(count)}
    problems["90"] = problem(1, image=None, split="test")
    problems["91"] = problem(1, image="image.png", split="train")
    for key, record in problems.items():
        if record["image"]:
            place = folder / "images" / record["split"] / key
            place.mkdir(parents=True)
            (place / "image.png").write_bytes(encoded(color_of(int(key))))
    (folder / "problems.json").write_text(json.dumps(problems))
    return folder / "problems.json", folder / "images"


def write_parquet(folder, count=4):
    """The same questions as on the hub: the images inside, one file a split."""
    rows = [problem(number, image={"bytes": encoded(color_of(number)), "path": None}) for number in range(count)]
    pq.write_table(pa.Table.from_pylist([*rows, problem(1, image=None)]), folder / "test-00000-of-00001.parquet")
    return folder / "test-00000-of-00001.parquet"
