"""A data set of nine records in each format that byorn reads, as its own tools write it."""

import json
from collections.abc import Callable
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

COUNT = 9
COLORS = ("red", "green", "blue")


def _pictures(folder: Path, below: str = "images") -> list[str]:
    (folder / below).mkdir(parents=True, exist_ok=True)
    names = [f"{below}/{number}.png" if below else f"{number}.png" for number in range(COUNT)]
    for number, name in enumerate(names):
        Image.new("RGB", (8, 8 + number), COLORS[number % 3]).save(folder / name)
    return names


def _chat(number: int) -> list[dict[str, str]]:
    return [
        {"from": "human", "value": f"<image>\nWhat is {number}?"},
        {"from": "gpt", "value": f"It is {COLORS[number % 3]}, \u00e9videmment."},
    ]


def llava(folder: Path) -> Path:
    """A JSON array, indented by hand, with escapes and numbers as nobody would dump them."""
    records = [
        f'  {{"id": "r{number}",  "image": "{name}", "size": 1.50e1, "note": "\\u00e9\\/",\n'
        f'    "conversations": {json.dumps(_chat(number))} }}'
        for number, name in enumerate(_pictures(folder))
    ]
    (folder / "train.json").write_text("[\n" + " ,\n".join(records) + "\n]\n")
    return folder / "train.json"


def wrapped(folder: Path) -> Path:
    """The same chats under `data` in an object with other keys."""
    records = [
        {"id": f"r{n}", "images": [name], "messages": [{"role": "user", "content": turn["value"]} if turn["from"] ==
         "human" else {"role": "assistant", "content": turn["value"]} for turn in _chat(n)]}
        for n, name in enumerate(_pictures(folder))
    ]  # fmt: skip
    (folder / "train.json").write_text(json.dumps({"version": [1, {"a": 2}], "data": records, "end": None}, indent=2))
    return folder / "train.json"


def llama_factory(folder: Path) -> Path:
    """ShareGPT under names of the user's own, in a folder with `dataset_info.json`."""
    records = [
        {"talk": [{"who": "me", "said": f"<image>{n}?"}, {"who": "you", "said": f"yes {n}"}], "pics": [name]}
        for n, name in enumerate(_pictures(folder))
    ]
    (folder / "mm.json").write_text(json.dumps(records))
    tags = {"role_tag": "who", "content_tag": "said", "user_tag": "me", "assistant_tag": "you"}
    entry = {"file_name": "mm.json", "formatting": "sharegpt", "columns": {"messages": "talk", "images": "pics"}}
    (folder / "dataset_info.json").write_text(json.dumps({"mm": {**entry, "tags": tags, "num_samples": 7}}))
    return folder


def alpaca(folder: Path) -> Path:
    """JSON lines with Windows line ends, a blank line, a byte order mark and no line end at the end of the file."""
    lines = [
        json.dumps({"instruction": f"Say {n}", "input": "", "output": f"{n} \u00e9", "history": []}, ensure_ascii=False)
        for n in range(COUNT)
    ]
    text = "\r\n".join([*lines[:4], "", *lines[4:]])
    (folder / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + text.encode())
    return folder / "a.jsonl"


def trl_lines(folder: Path) -> Path:
    """TRL's prompt and completion as messages of blocks, JSON lines."""
    with (folder / "train.jsonl").open("w") as file:
        for number, name in enumerate(_pictures(folder)):
            blocks = [{"type": "image"}, {"type": "text", "text": f"{number}?"}]
            completion = [{"role": "assistant", "content": [{"type": "text", "text": f"answer {number}"}]}]
            record = {"prompt": [{"role": "user", "content": blocks}], "completion": completion, "images": [name]}
            file.write(json.dumps(record) + "\n")
    return folder / "train.jsonl"


def image_folder(folder: Path) -> Path:
    """An image folder of `datasets`: metadata beside the images."""
    with (folder / "metadata.jsonl").open("w") as file:
        for number, name in enumerate(_pictures(folder, "")):
            file.write(json.dumps({"file_name": name, "text": f"caption {number}"}) + "\n")
    return folder


def _embedded() -> datasets.Dataset:
    """TRL's messages with images in the table, features of `datasets` and a column of lists of structs."""
    image = [Image.new("RGB", (8, 8 + n), COLORS[n % 3]) for n in range(COUNT)]
    messages = [
        [
            {"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": f"{n}?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": f"answer {n}"}]},
        ]
        for n in range(COUNT)
    ]
    table = {"messages": messages, "images": [[one] for one in image], "score": [None, *range(1, COUNT)]}
    features = datasets.Features(
        messages=datasets.List(
            {"role": datasets.Value("string"), "content": datasets.List({"type": datasets.Value("string"),
             "text": datasets.Value("string")})}
        ), images=datasets.List(datasets.Image()), score=datasets.Value("int16"),
    )  # fmt: skip
    return datasets.Dataset.from_dict(table, features=features)


def parquet(folder: Path) -> Path:
    """The Hub's layout: Parquet shards with images inside, several row groups."""
    (folder / "data").mkdir()
    whole = _embedded()
    for shard in range(2):
        part = whole.select(range(5) if shard == 0 else range(5, COUNT))
        part.to_parquet(folder / f"data/train-0000{shard}-of-00002.parquet", batch_size=2)
    return folder


def plain_parquet(folder: Path) -> Path:
    """Question and answer, dictionary-encoded, compressed by zstd, with a metadata of the user's."""
    table = pa.table(
        {
            "id": pa.array([f"r{n}" for n in range(COUNT)]).dictionary_encode(),
            "question": [f"{n}?" for n in range(COUNT)],
            "answer": pa.array([f"answer {n % 2}" for n in range(COUNT)]).dictionary_encode(),
            "when": pa.array(range(COUNT), pa.timestamp("us", "UTC")),
        }
    ).replace_schema_metadata({"mine": "yes"})
    pq.write_table(table, folder / "qa.parquet", compression="zstd", row_group_size=4)
    return folder / "qa.parquet"


def saved(folder: Path) -> Path:
    """What `save_to_disk` writes of a `DatasetDict`."""
    datasets.DatasetDict(train=_embedded(), test=_embedded().select([0])).save_to_disk(folder / "saved")
    return folder / "saved"


FORMATS: dict[str, Callable[[Path], Path]] = {
    make.__name__: make
    for make in (llava, wrapped, llama_factory, alpaca, trl_lines, image_folder, parquet, plain_parquet, saved)
}
