"""What `max_length` cuts away: TRL's collator ends every row there, and where the prompt alone is as long, nothing is
left to learn.
"""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from byorn.data.problem import RowProblem
from byorn.data.row import Row
from byorn.errors import ConfigError
from byorn.models.length import Ruler
from byorn.training.content import images_of

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import ProcessorMixin

logger = logging.getLogger(__name__)


def require_responses(dataset: "Dataset", processor: "ProcessorMixin", limit: int) -> None:
    """Warn of rows whose response would be cut away whole; no image is decoded.

    Raises:
        ConfigError: It would be that of every row.
    """
    lengths = list(_prompts(dataset, processor))
    lost = sum(length >= limit for length in lengths)
    if lost == len(lengths):
        raise ConfigError(
            f"max_length: {limit} cuts the response of every row away, since prompts and images take "
            f"{min(lengths)} tokens and more; raise it, or leave it out"
        )
    if lost:
        logger.warning(
            f"max_length {limit}: it cuts the whole response of {lost} of {len(lengths)} rows away, of which nothing "
            "is learned"
        )


def _prompts(dataset: "Dataset", processor: "ProcessorMixin") -> Iterator[int]:
    """Tokens of prompt and images of each row, a few too few rather than too many; 0 where an image is none."""
    from trl.data_utils import apply_chat_template, prepare_multimodal_messages

    ruler = Ruler(processor)
    for record, images in zip(dataset.select_columns(["prompt", "completion"]), images_of(dataset), strict=True):
        prompt = prepare_multimodal_messages(record["prompt"], [None] * len(images))
        completion = prepare_multimodal_messages(record["completion"])
        text = apply_chat_template({"prompt": prompt, "completion": completion}, processor)["prompt"]
        try:
            yield ruler.least(Row(id="", turn=0, prompt=[], response="", images=images), text)
        except (RowProblem, OSError):
            yield 0
