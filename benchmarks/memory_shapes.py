"""Models with random weights, their processors and rows, for `memory.py`; nothing is downloaded."""

import io
from dataclasses import asdict, dataclass, replace
from typing import Any

from byorn.bench.speed.shapes import SHAPES, Shape, build_shape
from byorn.models.load import default_device


@dataclass(frozen=True, kw_only=True)
class Case(Shape):
    """A model and what it is trained on. `image` is a side in pixels; prompt and response are in characters, a token
    or so each.
    """

    image: int
    prompt: int
    response: int
    batch: int
    accumulation: int
    epochs: int
    dtype: str


PRESETS = {
    "small": Case(
        **asdict(SHAPES["small"]), image=224, prompt=60, response=40, batch=4, accumulation=2, epochs=1, dtype="float32"
    ),
    "qwen2.5-vl-3b": Case(
        **asdict(SHAPES["qwen2.5-vl-3b"]), image=560, prompt=200, response=100, batch=8, accumulation=2, epochs=2,
        dtype="bfloat16",
    ),
}  # fmt: skip


def build(case: Case) -> tuple[Any, Any]:
    """A model of that shape on the first GPU, else the CPU, and its processor for images of that size."""
    return build_shape(case, side=case.image, device=default_device(), dtype=case.dtype)


def build_rows(shape: Case, processor: Any) -> Any:
    """Five groups of rows, two of them flagged; all prompts have the same number of characters, and all responses."""
    from byorn.data.dataset import to_dataset
    from byorn.data.row import ImageFile, user_message
    from byorn.models.inputs import training_rows
    from byorn.testing import tiny_rows

    rows = [
        replace(
            row,
            prompt=[user_message((f"{index}, " * shape.prompt)[: shape.prompt], images=1)],
            response=(f"{index}; " * shape.response)[: shape.response],
            images=[ImageFile(data=picture(shape.image, index))],
        )
        for index, row in enumerate(tiny_rows(5 * shape.batch * shape.accumulation))
    ]
    return to_dataset(training_rows(rows, processor), [index % 5 < 2 for index in range(len(rows))])


def picture(side: int, seed: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (seed % 256, 40, 200)).save(buffer, "PNG")
    return buffer.getvalue()
