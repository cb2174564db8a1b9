"""A LLaVA of a few thousand weights, and rows about colored squares."""

from pathlib import Path
from typing import TYPE_CHECKING

from byorn.data.row import ImageFile, Row, user_message

if TYPE_CHECKING:
    from transformers import LlavaForConditionalGeneration, LlavaProcessor

PALETTE = {"red": (230, 20, 20), "blue": (20, 20, 230), "green": (20, 160, 20), "black": (0, 0, 0)}


def tiny_processor() -> "LlavaProcessor":
    """The processor of the tiny model: the embedded one's template with a byte-level vocabulary."""
    from byorn.embedded.architecture import build_processor, train_tokenizer

    return build_processor(train_tokenizer(["a red square", "a blue square"], size=270))


def tiny_model(seed: int = 0, processor: "LlavaProcessor | None" = None) -> "LlavaForConditionalGeneration":
    """A LLaVA with random weights, 2 + 2 layers of 32 and 64; in eval mode, float32."""
    import torch

    from byorn.embedded.architecture import build_model

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build_model((processor or tiny_processor()).tokenizer, vision=(32, 2), text=(64, 2))
    model.eval()
    return model


def save_tiny(folder: Path) -> None:
    """Save the tiny model and its processor, as `--model` takes them."""
    processor = tiny_processor()
    tiny_model(processor=processor).save_pretrained(folder)
    processor.save_pretrained(folder)


def tiny_rows(count: int, images: int = 1) -> list[Row]:
    """Rows whose responses name the color of a plain image; instruction and response lengths vary from row to row."""
    return [_tiny_row(index, images) for index in range(count)]


def _tiny_row(index: int, images: int) -> Row:
    name = list(PALETTE)[index % len(PALETTE)]
    files = [ImageFile(data=_png(PALETTE[name])) for _ in range(images)]
    response = f"a {name} square" if index % 3 else name
    return Row(
        id=f"row-{index}",
        turn=0,
        prompt=[user_message("what color?" + "?" * (index % 3), images)],
        response=response,
        images=files,
    )


def _png(color: tuple[int, int, int]) -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), color).save(buffer, "PNG")
    return buffer.getvalue()
