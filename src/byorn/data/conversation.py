"""What every reader makes of a record, and where its images stand.

A `Conversation` is a record whose columns have been understood but whose content has not been checked. `lay_out` turns
it into messages of blocks, with one `image` block for each image.
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple, TypeGuard

from byorn.data.checks import IMAGE_MARKER, repair, require_text
from byorn.data.problem import RowProblem
from byorn.data.row import Block, Message

REPAIRED = "text(s) held NUL or lone surrogate characters: replaced by U+FFFD"
PLACED = "row(s) had images but no <image> marker: images put before the first user text"


class Turn(NamedTuple):
    """One message as the user wrote it; `content` is text or a list of blocks, not yet checked. One that is not
    `learned` is context alone.
    """

    role: str
    content: object
    learned: bool = True


@dataclass(slots=True)
class Conversation:
    """A record whose columns have been understood.

    Attributes:
        turns: The messages in order; roles are `system`, `user` or `assistant`.
        images: One entry for each image, as the record holds it.
        id: The user's name for the record, if any.
        scored_from: Index of the first message that may be scored; earlier ones are context alone (TRL's `prompt`).
        turn: The turn number, where the record says it (rows that byorn wrote).
        meta: All columns that were not used.
    """

    turns: list[Turn]
    images: list[object] = field(default_factory=list)
    id: object = None
    scored_from: int = 0
    turn: int | None = None
    meta: dict[str, object] = field(default_factory=dict)


def lay_out(conversation: Conversation, tally: Counter[str]) -> tuple[list[Message], list[object]]:
    """The messages with an `image` block at the place of each image, and the images in that order.

    `<image>` in system and user text marks a place, unless the record has structured image blocks; with neither, all
    images go before the first user text, as TRL does.

    Raises:
        RowProblem: content that is neither text nor known blocks, or as many places as there are not images.
    """
    markers = not any(_is_image(block) for turn in conversation.turns for block in _listed(turn.content))
    inline: list[object] = []
    messages: list[Message] = []
    for number, turn in enumerate(conversation.turns):
        split = markers and turn.role != "assistant"
        blocks = _blocks_of(turn, f"messages[{number}]", split, inline, tally)
        messages.append({"role": turn.role, "content": blocks})
    images = _in_order(inline, conversation.images)
    if images and not inline:
        _place_first(messages, len(images), tally)
    elif len(inline) != len(images):
        reason = f"{len(inline)} {IMAGE_MARKER} marker(s) but {len(images)} image(s)"
        raise RowProblem("images", reason, "give exactly one image for each marker, in order")
    return messages, images


def _blocks_of(turn: Turn, where: str, split: bool, inline: list[object], tally: Counter[str]) -> list[Block]:
    """The blocks of one message; `inline` grows by the payload of each image block, None for the row's next image."""
    pieces: list[str | None] = []
    parts = turn.content if isinstance(turn.content, list) else [require_text(turn.content, where)]
    for part in parts:
        if _is_image(part):
            if turn.role == "assistant":
                raise RowProblem(where, "an image in an assistant message", "move it to a user message")
            inline.append(_payload(part))
            pieces.append(None)
        else:
            _add_text(pieces, _clean_text(_text_of_part(part, where), tally), split, inline)
    return _joined(pieces) or [{"type": "text", "text": ""}]


def _add_text(pieces: list[str | None], text: str, split: bool, inline: list[object]) -> None:
    """Add the text to the pieces of a message, in which None is the place of an image."""
    if not split or IMAGE_MARKER not in text:
        pieces.append(text)
        return
    between = text.split(IMAGE_MARKER)
    last_words = max((number for number, piece in enumerate(between) if piece.strip()), default=-1)
    for number, piece in enumerate(between):
        # The line break beside a marker belongs to the marker: chat templates write their own.
        if number > 0:
            inline.append(None)
            pieces.append(None)
            piece = piece.removeprefix("\n")
        if last_words <= number < len(between) - 1:
            piece = piece.removesuffix("\n")
        pieces.append(piece)


def _joined(pieces: list[str | None]) -> list[Block]:
    """The pieces as blocks; neighboring texts become one, so that a special token cannot hide across two."""
    blocks: list[Block] = []
    for is_image, group in groupby(pieces, key=lambda piece: piece is None):
        if is_image:
            blocks += [{"type": "image"} for _ in group]
        elif text := "".join(piece or "" for piece in group):
            blocks.append({"type": "text", "text": text})
    return blocks


def _in_order(inline: list[object], images: list[object]) -> list[object]:
    """The payloads of the blocks; blocks without one take the next image of the row."""
    if not inline or all(payload is None for payload in inline):
        return images
    waiting = iter(images)
    taken = [next(waiting, None) if payload is None else payload for payload in inline]
    return [image for image in taken if image is not None] + list(waiting)


def _place_first(messages: list[Message], count: int, tally: Counter[str]) -> None:
    for message in messages:
        if message["role"] == "user":
            places: list[Block] = [{"type": "image"} for _ in range(count)]
            texts = [block for block in message["content"] if block["text"]]
            message["content"] = places + texts
            tally[PLACED] += 1
            return
    raise RowProblem("images", "images but no user message", "add the user message that they belong to")


def _clean_text(text: str, tally: Counter[str]) -> str:
    repaired = repair(text)
    if repaired != text:
        tally[REPAIRED] += 1
    return repaired


def _text_of_part(part: object, where: str) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and part.get("type") == "text":
        return require_text(part.get("text"), where)
    kind = part.get("type") if isinstance(part, dict) else type(part).__name__
    raise RowProblem(where, f"content block of kind {kind!r}", "keep text and image blocks only")


def _is_image(part: object) -> TypeGuard[dict[str, object]]:
    return isinstance(part, dict) and part.get("type") in ("image", "image_url")


def _payload(part: dict[str, object]) -> object:
    """What an image block itself holds; None if it is only a place."""
    if isinstance(part.get("image"), dict):
        return part["image"]
    held = {key: part[key] for key in ("url", "base64", "path", "bytes") if part.get(key)}
    if part.get("image_url"):
        held["url"] = part["image_url"]
    return held or part.get("image")


def _listed(content: object) -> list[object]:
    return content if isinstance(content, list) else []
