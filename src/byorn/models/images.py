"""What `get_image_features` takes in each family, cut into single images: the tensors that it sees of one, and nothing
of the others in the batch.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Given = dict[str, "Tensor"]
"""Tensors by the names of its arguments."""
Cut = Callable[[Given], Iterator[Given]]


def each_image(given: Given) -> Iterator[Given]:
    """pixel_values [n, channels, height, width]."""
    for image in given["pixel_values"].split(1):
        yield {"pixel_values": image}


def each_stack(given: Given) -> Iterator[Given]:
    """pixel_values [n, most tiles, channels, height, width], of which image_sizes [n, 2] says how many count; and
    batch_num_images [rows] where an image that is not alone in its row is not cut into tiles.
    """
    together = given.get("batch_num_images")
    counts = None if together is None else together.repeat_interleave(together)
    for index, stack in enumerate(given["pixel_values"].split(1)):
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
    for image, grid in zip(given["pixel_values"].split(grids.prod(-1).tolist()), grids.split(1), strict=True):
        yield {"pixel_values": image, "image_grid_thw": grid}


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
