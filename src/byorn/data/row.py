"""The canonical row: one scored assistant turn with everything that comes before it.

Every reader produces it, everything else consumes it. Images stay where they are (a path, or bytes taken from a table)
until somebody calls `ImageFile.load`, so that a million rows cost kilobytes each and not megabytes.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, TypedDict

from PIL import Image

from byorn.data.pixels import decode


class Block(TypedDict, total=False):
    """One piece of a message: `{"type": "image"}` or `{"type": "text", "text": ...}`."""

    type: str
    text: str


class Message(TypedDict):
    """One message of the prompt; `role` is `system`, `user` or `assistant`."""

    role: str
    content: list[Block]


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image that has not been decoded: a file on disk, or the bytes of one.

    Attributes:
        path: Where to open it, absolute.
        data: The encoded file itself, when it came out of a table; a view where the table is mapped, see `read`.
        name: The path as the data set writes it, the same on every machine; for fingerprints and messages.
    """

    path: str | None = None
    data: bytes | memoryview | None = None
    name: str | None = field(default=None, compare=False)

    def __hash__(self) -> int:
        """That of the bytes, whether they lie in memory or in a mapped table, whose views have none."""
        return hash((self.path, None if self.data is None else bytes(self.data)))

    def open(self) -> BinaryIO:
        """The encoded bytes as a stream, as stored."""
        return io.BytesIO(self.data) if self.data is not None else Path(self.path or "").open("rb")

    def read(self) -> bytes:
        """The encoded bytes, as stored."""
        return bytes(self.data) if self.data is not None else Path(self.path or "").read_bytes()

    def load(self) -> Image.Image:
        """The decoded image in RGB, upright and without its metadata; see `byorn.data.pixels` for what is refused."""
        return decode(self.read())


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record comes from.

    Attributes:
        source: The file, relative to the data folder, or the name of the data set on the Hub; in front of it the
            entry of `dataset_info.json` (`mm:images.json`), where there is one. Empty for a row made in memory.
        record: The number of the record in that file, from 0; in a JSONL file the line number minus one. -1 for a row
            made in memory.
    """

    source: str = ""
    record: int = -1


@dataclass(frozen=True, slots=True)
class Row:
    """One (images, instruction, response) sample.

    Attributes:
        id: Stable name of the conversation: the user's own, else a hash of its content. Unique together with `turn`.
        turn: Which assistant turn of the conversation is scored, from 0.
        prompt: The messages before the scored response, in order; the `image` blocks stand where the images belong.
        response: The scored response, plain text.
        images: One entry for each `image` block of `prompt`, in order.
        meta: The user's own columns, untouched.
        origin: Where the row comes from; rows with equal content are equal wherever they come from.
    """

    id: str
    turn: int
    prompt: list[Message]
    response: str
    images: list[ImageFile] = field(default_factory=list)
    meta: dict[str, object] = field(default_factory=dict)
    origin: Origin = field(default=Origin(), compare=False)

    @property
    def key(self) -> tuple[str, int]:
        """What scores, flags and predictions are joined on."""
        return self.id, self.turn

    @property
    def instruction(self) -> str:
        """What the user says last."""
        return instruction_of(self.prompt)


def instruction_of(prompt: object) -> str:
    """What the user says last in a prompt, in any of TRL's forms, without blanks around it; nothing where no user
    speaks.
    """
    if isinstance(prompt, str):
        return prompt.strip()
    messages = prompt if isinstance(prompt, list) else []
    asked = [message for message in messages if isinstance(message, dict) and message.get("role") == "user"]
    return text_of(asked[-1]).strip() if asked else ""


def text_of(said: object) -> str:
    """What a message, a completion or a part of them says, in any of TRL's forms; where an image parts two texts, a
    space does.
    """
    if isinstance(said, list):
        return " ".join(filter(None, map(text_of, said)))
    if isinstance(said, dict):
        return text_of(said.get("content") or said.get("text") or "")
    return str(said)


def rephrased(row: Row, change: Callable[[str], str]) -> Row:
    """The row with the last text block of its last user message changed; the row itself where there is none."""
    users = [index for index, message in enumerate(row.prompt) if message["role"] == "user"]
    content = row.prompt[users[-1]]["content"] if users else []
    texts = [index for index, block in enumerate(content) if block["type"] == "text" and block.get("text")]
    if not texts:
        return row
    block: Block = {"type": "text", "text": change(content[texts[-1]]["text"])}
    message: Message = {"role": "user", "content": [*content[: texts[-1]], block, *content[texts[-1] + 1 :]]}
    return replace(row, prompt=[*row.prompt[: users[-1]], message, *row.prompt[users[-1] + 1 :]])


def user_message(text: str, images: int = 0) -> Message:
    """A user message with `images` placeholders before its text."""
    blocks: list[Block] = [{"type": "image"} for _ in range(images)]
    return {"role": "user", "content": [*blocks, {"type": "text", "text": text}]}
