"""What `get_image_features` takes in each family, cut into single images: the tensors that it sees of one, and nothing
of the others in the batch.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Given = dict[str, "Tensor"]
"""Tensors by the names of its arguments."""
Cut = Callable[[Given], Iterator[Given]]


def each_image(given: Given) -> Iterator[Given]:
    """pixel_values [n, channels, height, width]."""
    for image in _pieces(given["pixel_values"]):
        yield {"pixel_values": image}


def each_stack(given: Given) -> Iterator[Given]:
    """pixel_values [n, most tiles, channels, height, width], of which image_sizes [n, 2] says how many count; and
    batch_num_images [rows] where an image that is not alone in its row is not cut into tiles.
    """
    together = given.get("batch_num_images")
    counts = None if together is None else together.repeat_interleave(together)
    for index, stack in enumerate(_pieces(given["pixel_values"])):
        image = {"pixel_values": stack, "image_sizes": given["image_sizes"][index : index + 1]}
        yield image if counts is None else image | {"batch_num_images": counts[index : index + 1]}


def each_row(given: Given) -> Iterator[Given]:
    """pixel_values [rows, most tiles, channels, height, width] and pixel_attention_mask, which has no channels: all
    images of a row are one; tiles of zeros do not count, and a row may have no other.
    """
    for index, row in enumerate(given["pixel_values"]):
        yield {name: value[index : index + 1] for name, value in given.items()} if row.any() else {}


def each_grid(given: Given) -> Iterator[Given]:
    """pixel_values [patches, values], of which image_grid_thw [n, 3] says how many are an image's."""
    grids = given["image_grid_thw"]
    patches = _pieces(given["pixel_values"], grids.prod(-1).tolist())
    for image, grid in zip(patches, _pieces(grids), strict=True):
        yield {"pixel_values": image, "image_grid_thw": grid}


def _pieces(values: "Tensor", sizes: Sequence[int] = ()) -> "Iterator[Tensor]":
    """The tensor in pieces of so many of its first dimension; of one if nothing else is said."""
    start = 0
    for size in sizes or [1] * len(values):
        yield values[start : start + size]
        start += size


FAMILIES: dict[str, Cut] = {
    "llava": each_image,
    "llava_next": each_stack,
    "llava_onevision": each_stack,
    "qwen2_5_vl": each_grid,
    "qwen3_vl": each_grid,
    "internvl": each_image,
    "smolvlm": each_row,
    "idefics3": each_row,
    "gemma3": each_image,
    "paligemma": each_image,
}
"""By model type. Mllama is not among them: its language model attends to the tower's output, which it does not return
by itself.
"""
