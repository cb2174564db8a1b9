"""Whatever stands in a data set, reading it ends in rows or in one byorn error."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from fuzz_tables import tables
from fuzz_values import damaged, damages, records, scalars, texts, values
from hostile import IMAGES
from hypothesis import given, reject
from hypothesis import strategies as st
from judge import NewFolder, judge

from byorn.data.load import FORMATS

SOUND = [{"prompt": "Look", "completion": "A box."}]
rows = st.one_of(st.lists(records(), max_size=5), st.lists(records(), max_size=5).map(lambda more: SOUND + more))
formats = st.one_of(st.just("auto"), st.sampled_from(FORMATS[:-1]))
turns = st.sampled_from(["last", "all"])


def as_json(value: Any) -> str:
    return json.dumps(value, default=repr)


def as_lines(rows: list[Any]) -> str:
    return "".join(as_json(row) + "\n" for row in rows)


encodings = st.one_of(st.just("utf-8"), st.sampled_from(["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7"]))
suffixes = st.sampled_from([".json", ".jsonl", ".csv", ".parquet", ""])


@given(rows=rows, suffix=suffixes, write=st.sampled_from([as_json, as_lines]), encoding=encodings, damage=damages)
def test_text_files(rows, suffix, write, encoding, damage, new_folder: NewFolder):
    with new_folder() as folder:
        path = folder / f"rows{suffix}"
        path.write_bytes(damaged(write(rows).encode(encoding), damage))
        judge(path)


@given(rows=rows, format=formats, turns=turns)
def test_sound_lines(rows, format, turns, new_folder: NewFolder):
    with new_folder() as folder:
        (folder / "rows.jsonl").write_text(as_lines(rows))
        judge(folder / "rows.jsonl", format=format, turns=turns)


foreign = st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))


@given(content=st.one_of(st.binary(max_size=200), foreign), suffix=suffixes)
def test_any_bytes(content, suffix, new_folder: NewFolder):
    with new_folder() as folder:
        (folder / f"rows{suffix}").write_bytes(content)
        judge(folder / f"rows{suffix}")


layouts = st.fixed_dictionaries(
    {
        "compression": st.sampled_from(["none", "snappy", "zstd", "gzip"]),
        "data_page_size": st.sampled_from([1, 2**20]),
        "use_dictionary": st.booleans(),
        "store_schema": st.booleans(),
    }
)


@given(table=tables(), damage=damages, layout=layouts, format=formats)
def test_parquet(table, damage, layout, format, new_folder: NewFolder):
    with new_folder() as folder:
        path = folder / "rows.parquet"
        try:
            pq.write_table(table, path, **layout)
        except pa.ArrowException:  # Parquet has no such type or value
            reject()
        path.write_bytes(damaged(path.read_bytes(), damage))
        judge(path, format=format)


ARROW = "data-00000-of-00001.arrow"
STATE = {
    "_data_files": [{"filename": ARROW}],
    "_fingerprint": "a",
    "_format_columns": None,
    "_format_kwargs": {},
    "_format_type": None,
    "_output_all_columns": False,
    "_split": None,
}
sound_or_not = st.one_of(st.just({}), st.just({}), values)
spoiled = st.dictionaries(st.sampled_from([*STATE, "_indices_data_files"]), values, max_size=2)


@given(table=tables(), damage=damages, compression=st.sampled_from([None, "lz4", "zstd"]), state=sound_or_not,
       more=st.one_of(st.just({}), spoiled), info=sound_or_not, features=sound_or_not)  # fmt: skip
def test_saved_folders(table, damage, compression, state, more, info, features, new_folder: NewFolder):
    with new_folder() as folder:
        options = pa.ipc.IpcWriteOptions(compression=compression)
        with pa.ipc.new_stream(str(folder / ARROW), table.schema, options=options) as writer:
            writer.write_table(table)
        (folder / ARROW).write_bytes(damaged((folder / ARROW).read_bytes(), damage))
        (folder / "state.json").write_text(as_json(state or STATE | more))
        (folder / "dataset_info.json").write_text(as_json(info or {"features": features or None}))
        judge(folder)


metadata = st.sampled_from(["metadata.jsonl", "train/metadata.jsonl", "metadata.parquet", "metadata.csv"])
file_names = st.lists(st.one_of(texts, st.just("one pixel.png")), max_size=4)


@given(rows=rows, name=metadata, files=file_names, format=st.sampled_from(["auto", "imagefolder"]))
def test_image_folders(rows, name, files, format, new_folder: NewFolder):
    with new_folder() as folder:
        (folder / name).parent.mkdir(exist_ok=True)
        captions = [{"file_name": file, "text": "A box."} for file in files]
        (folder / name).write_text(as_lines([*captions, *rows]))
        judge(folder, format=format)


ENTRY = ["file_name", "hf_hub_url", "formatting", "columns", "tags", "num_samples", "ranking", "subset", "script_url"]
COLUMNS = ["prompt", "response", "messages", "images", "role_tag", "content_tag", "user_tag", "kto_tag"]
sound_entry = st.sampled_from(
    ["rows.json", "alpaca", "sharegpt", "openai", "owner/name", "../rows.json", ".", "prompt"]
)
entry = st.dictionaries(
    st.sampled_from(ENTRY),
    st.one_of(sound_entry, st.dictionaries(st.sampled_from(COLUMNS), st.one_of(sound_entry, texts)), values),
    max_size=5,
)
named = st.one_of(st.none(), st.just("mm"), st.just("mm,pairs"), texts)


@given(rows=rows, entries=st.dictionaries(st.one_of(st.just("mm"), texts), entry, max_size=3), name=named,
       beside=st.booleans(), damage=damages)  # fmt: skip
def test_llamafactory_folders(rows, entries, name, beside, damage, new_folder: NewFolder):
    with new_folder() as folder:
        (folder / "rows.json").write_text(as_json(rows))
        if beside:
            entries = {key: {**entry, "file_name": "rows.json"} for key, entry in entries.items()}
        (folder / "dataset_info.json").write_bytes(damaged(as_json(entries).encode(), damage))
        judge(folder, name=name)


patterns = st.one_of(st.sampled_from(["*.jsonl", "**/*", "[", "train*", "../*", "**/**/**/*"]), values)
config = st.fixed_dictionaries(
    {"config_name": st.one_of(st.just("mm"), texts)},
    optional={"data_files": patterns, "data_dir": st.one_of(st.just("sub"), values), "default": scalars},
)
inside = st.sampled_from(["train.jsonl", "data/train-00000-of-00001.jsonl", "sub/test.jsonl", "a\nb.jsonl", "x.json"])


header = st.one_of(st.none(), st.lists(config, max_size=2), values)
splits = st.one_of(st.just("train"), texts.filter(bool))


@given(rows=rows, files=st.lists(inside, max_size=3), configs=header, name=named, split=splits, damage=damages)
def test_hub_folders(rows, files, configs, name, split, damage, new_folder: NewFolder):
    with new_folder() as folder:
        for file in files:
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_text(as_lines(rows))
        if configs is not None:
            card = f"---\n{yaml.safe_dump({'configs': configs})}\n---\n".encode("utf-8", "replace")
            (folder / "README.md").write_bytes(damaged(card, damage))
        judge(folder, name=name, split=split)


@given(name=texts.filter(bool))
def test_any_name(name):
    judge(Path(name))


KINDS = ["turned", "palette", "animated gif", "deflated tiff", "cmyk", "cut webp", "sixteen bits"]


@given(damage=damages, name=st.sampled_from(KINDS), in_table=st.booleans())
def test_damaged_images(damage, name, in_table, new_folder: NewFolder):
    with new_folder() as folder:
        content = damaged(IMAGES[name](), damage)
        if in_table:
            pq.write_table(pa.table({"image": [content], "text": ["A box."]}), folder / "rows.parquet")
        else:
            (folder / "damaged.png").write_bytes(content)
            (folder / "rows.jsonl").write_text(as_lines([{"image": "damaged.png", "text": "A box."}]))
        judge(folder / ("rows.parquet" if in_table else "rows.jsonl"))
