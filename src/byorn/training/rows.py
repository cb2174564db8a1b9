"""The rows that TRL takes for vision-language models -> the columns that byorn trains on.

    messages  ->  prompt, everything before the last message, and completion, the last one, which must be an answer
    image     ->  images, a list of one image, or of none where there is none

Rows that come as `prompt`, `completion` and `images` stay as they are. Nothing of them is checked but their form;
`byorn.load_rows` reads data sets of many layouts and lists the rows that cannot be used.
"""

import logging
from typing import TYPE_CHECKING

from byorn.errors import DataError
from byorn.text import first_line
from byorn.training.collator import COLUMNS, Record
from byorn.training.content import images_of

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

logger = logging.getLogger(__name__)

_OTHER_TYPES = {
    "IterableDataset": "a streaming data set cannot be scored or grouped; load it without streaming",
    "DatasetDict": "it holds several splits; give one of them, such as data['train']",
    "list": "it is a list; make it a data set with datasets.Dataset.from_list",
}


_ASKING = ("user", "tool", "assistant")
"""Roles of the last message of a prompt that TRL continues; on others it fails in the middle of a training."""


def as_rows(dataset: object, name: str = "train_dataset") -> "Dataset":
    """The data set with columns `prompt`, `completion`, `images` and all its others; no image is decoded.

    Raises:
        DataError: It is no `datasets.Dataset` that can be counted, has other columns, a conversation has no last
            answer or nothing that it answers, or a row None for its images, or more or fewer of them than its messages
            have places for.
    """
    from datasets import Dataset

    if not isinstance(dataset, Dataset):
        kind = type(dataset).__name__
        raise DataError(f"{name}: {_OTHER_TYPES.get(kind, f'{kind} given; use a datasets.Dataset')}")
    if dataset.format["type"] == "custom":
        raise DataError(f"{name}: with_transform makes its rows while they are read; use map instead")
    if not len(dataset):
        raise DataError(f"{name}: it has no row; see the list of rejected rows for the reasons")
    return _as_columns(dataset if dataset.format["type"] is None else dataset.with_format(None), name)


def _as_columns(dataset: "Dataset", name: str) -> "Dataset":
    if "messages" in dataset.column_names and "completion" not in dataset.column_names:
        dataset = _split(dataset, name)
    if "image" in dataset.column_names and "images" not in dataset.column_names:
        dataset = _listed(dataset)
    _require_columns(dataset, name)
    _require_lists(dataset, name)
    _require_places(dataset, name)
    return dataset


def as_eval_rows(dataset: object) -> "Dataset | dict[str, Dataset] | str | None":
    """One evaluation set, or several by name, as `as_rows`; None and the name of a set pass."""
    if dataset is None or isinstance(dataset, str):
        return dataset
    if isinstance(dataset, dict):
        return {key: as_rows(part, f"eval_dataset[{key!r}]") for key, part in dataset.items()}
    return as_rows(dataset, "eval_dataset")


def _require_columns(dataset: "Dataset", name: str) -> None:
    missing = [column for column in COLUMNS if column not in dataset.column_names]
    if missing:
        found = ", ".join(dataset.column_names)
        raise DataError(
            f"{name}: no column {missing[0]!r} (found: {found}); give messages and images, or prompt, completion, "
            "images"
        )
    for column, role in (("prompt", "user"), ("completion", "assistant")):
        if isinstance(dataset.select_columns([column])[0][column], str):
            raise DataError(f"{name}: {column} is plain text; use messages, [{{'role': '{role}', 'content': ...}}]")
    if "turn" in dataset.column_names and not str(dataset.features["turn"].dtype).startswith(("int", "uint")):
        raise DataError(
            f"{name}: turn holds no whole numbers; it is that of an answer in its conversation: rename yours"
        )


def _require_lists(dataset: "Dataset", name: str) -> None:
    """Refuse a row whose images are None, on which TRL's collator fails."""
    if not dataset.data.column("images").null_count:
        return
    shown = dataset.select_columns(["images"]).with_format("arrow").iter(batch_size=1)  # without rows not selected
    if (row := next((number for number, table in enumerate(shown) if table["images"].null_count), None)) is not None:
        raise DataError(f"{name}: the images of row {row} are None; a row without any has an empty list, []")


def _require_places(dataset: "Dataset", name: str) -> None:
    """Refuse a row whose messages TRL's collator cannot fill with the row's images, or not go on from."""
    from trl.data_utils import prepare_multimodal_messages

    texts = dataset.select_columns(["prompt", "completion"])
    for number, (row, images) in enumerate(zip(texts, images_of(dataset), strict=True)):
        try:
            prepare_multimodal_messages(row["prompt"], [None] * len(images))
            prepare_multimodal_messages(row["completion"])
            if (role := row["prompt"][-1]["role"]) not in _ASKING:
                raise ValueError(f"its prompt ends with a message of role {role!r}")
        except (ValueError, TypeError, LookupError) as error:
            raise DataError(
                f"{name}: row {number} cannot be learned ({type(error).__name__}: {first_line(error)}); "
                "repair or drop it; byorn.load_rows lists all that cannot be used"
            ) from error


def _split(dataset: "Dataset", name: str) -> "Dataset":
    from datasets import Features, Value, concatenate_datasets

    def halves(row: Record, index: int) -> Record:
        messages = row["messages"] or []
        answered = [isinstance(message, dict) and message.get("role") == "assistant" for message in messages]
        if len(messages) < 2 or not answered[-1]:
            raise DataError(f"{name}: the messages of row {index} do not end with an answer; cut or drop that row")
        return {"prompt": messages[:-1], "completion": messages[-1:], "answers": sum(answered)}

    talk = dataset.features["messages"]
    features = Features({"prompt": talk, "completion": talk, "answers": Value("int64")})
    texts = dataset.select_columns(["messages"])
    texts = texts.map(halves, with_indices=True, remove_columns=["messages"], features=features)
    several = sum(answers > 1 for answers in texts["answers"])
    if several:
        logger.warning("%s: %d conversations have several answers; the last of each is learned", name, several)
    others = dataset.remove_columns([column for column in ("messages", "prompt") if column in dataset.column_names])
    return concatenate_datasets([others, texts.remove_columns(["answers"])], axis=1)


def _listed(dataset: "Dataset") -> "Dataset":
    from datasets import Features, List

    features = Features(
        {"images" if name == "image" else name: kind for name, kind in dataset.features.items()}
        | {"images": List(dataset.features["image"])}
    )
    stored = dataset.with_format("arrow")  # a batch must stay below the 2 GiB of one arrow array
    return stored.map(_wrapped, batched=True, batch_size=32, features=features).with_format(None)


def _wrapped(table: "pa.Table") -> "pa.Table":
    """The column `image` as lists, in arrow, where an image is still the bytes or the path of a file."""
    import pyarrow as pa
    import pyarrow.compute as pc

    image = table.column("image").combine_chunks()
    ends = pc.cumulative_sum(image.is_valid().cast(pa.int32())).to_pylist()
    lists = pa.ListArray.from_arrays(pa.array([0, *ends], pa.int32()), image.drop_null())
    return table.set_column(table.column_names.index("image"), "images", lists)
