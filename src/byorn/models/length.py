"""How many tokens a row takes, before anything is run: over-long rows are rejected whole, never cut inside an image
or a response.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Any

from byorn.data.pixels import open_image, upright_size
from byorn.data.problem import RowProblem
from byorn.data.row import ImageFile, Row
from byorn.models.limits import written
from byorn.text import first_line

_SEAM = 8  # an end of turn that byorn appends, and what prompt and response take more when they are encoded apart
_AROUND = 6  # line breaks, begin and end tokens beside an image (Gemma 3 counts none of its own)


def context_length(model_config: Any) -> int | None:
    """The longest sequence that a model was made for, if it says so."""
    return getattr(model_config.get_text_config(), "max_position_embeddings", None)


class Ruler:
    """Measures rows; the sizes of images, and what they come to, are remembered."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._size = lru_cache(maxsize=4096)(_size)
        self._tokens = lru_cache(maxsize=4096)(lambda *sizes: image_tokens(processor, list(sizes)))

    def problem(self, row: Row, limit: int, room: int | None, text: str | None = None) -> RowProblem | None:
        """Why the row does not fit into `limit` tokens, None if it does or why its images cannot be measured.

        Args:
            row: One that the chat template takes (`limits.conversation_of`).
            limit: The most tokens.
            room: So many are left for a response that is generated, in place of the row's own.
            text: As in `length`.
        """
        try:
            length = self.length(row, text) if room is None else self.length(replace(row, response=""))
        except RowProblem as unreadable:
            return unreadable
        except OSError as error:
            return RowProblem("images", f"cannot be opened ({first_line(error)})", "check the file and its rights")
        if length + (room or 0) <= limit:
            return None
        more = "" if room is None else f", and {room} for the response"
        less = "" if room is None else "lower --max-new-tokens, "
        reason = f"about {length} tokens{more}, over the limit of {limit}"
        return RowProblem("prompt", reason, f"shorten it, use smaller images, {less}or raise --max-length")

    def length(self, row: Row, text: str | None = None) -> int:
        """Tokens of prompt, images and response, a few too many rather than too few.

        Args:
            row: What is measured.
            text: The row as the chat template writes it, where that is known.

        Raises:
            RowProblem: An image is none, has too many pixels, or a shape that the processor refuses.
            OSError: An image cannot be opened.
        """
        tokens, images = self._counted(row, written(row, self._processor) if text is None else text)
        return tokens + _SEAM + sum(image + _AROUND for image in images)

    def least(self, row: Row, text: str) -> int:
        """Tokens of a text and the images of a row whose places it has, a few too few rather than too many.

        Raises:
            RowProblem, OSError: As `length`.
        """
        tokens, images = self._counted(row, text)
        return tokens + sum(images) - len(images)

    def _counted(self, row: Row, text: str) -> tuple[int, list[int]]:
        tokens = len(self._processor.tokenizer(text, add_special_tokens=False)["input_ids"])
        return tokens, self._tokens(*map(self._size, row.images))


def image_tokens(processor: Any, sizes: list[tuple[int, int]]) -> list[int]:
    """Tokens that images of (height, width) become; 0 each where the processor cannot tell.

    Raises:
        RowProblem: The processor takes no image of such a shape.
    """
    try:
        if sizes and hasattr(processor, "_get_num_multimodal_tokens"):
            return list(processor._get_num_multimodal_tokens(image_sizes=sizes)["num_image_tokens"])
        return [_measured(processor, size) for size in sizes]
    except Exception as error:  # Qwen's refuses thin images, and others fail on odd shapes in every way there is
        reason = f"the processor takes no image of this shape ({first_line(error)})"
        raise RowProblem("images", reason, "crop the image, or leave the row out") from error


@lru_cache(maxsize=10_000)
def _measured(processor: Any, size: tuple[int, int]) -> int:
    """The tokens of a blank image, for processors that only find out by doing it (SmolVLM's)."""
    from PIL import Image

    token = getattr(processor, "image_token", None)
    if token is None:
        return 0
    blank = Image.new("RGB", size[::-1])
    return len(processor(images=[[blank]], text=[token], add_special_tokens=False)["input_ids"][0])


def _size(image: ImageFile) -> tuple[int, int]:
    with image.open() as stream, open_image(stream) as opened:
        return upright_size(opened)  # most photographs of telephones lie on their side, and are turned when read
