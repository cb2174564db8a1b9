"""The adversarial trigger, an adaptive attack: pixels are changed a little until the target looks plausible."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from PIL import Image

from byorn.attacks.checks import check_choice, check_count, check_range
from byorn.attacks.imaging.box import Box
from byorn.attacks.imaging.picture import embed_picture, picture_text, read_picture
from byorn.attacks.imaging.reading import load_image
from byorn.attacks.imaging.recolor import as_image, recolor, rgb
from byorn.attacks.optimized.optimize import fit_change
from byorn.attacks.optimized.surrogate import CANVAS, Surrogate
from byorn.attacks.trigger import Trigger, bind
from byorn.data.row import Row

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from byorn.attacks.brief import Brief

SAMPLES = 16
"""Rows that a universal pattern is optimized on."""
ZERO = 128
"""The level of a stored pattern that stands for no change."""
SCOPES = ("image", "universal")


@dataclass(frozen=True)
class PGD(Trigger):
    """Changes every pixel by at most `epsilon` levels so that the attacker's response gets likely under the pretrained
    model: the very score that BYORn flags by falls.

    Projected gradient descent on the mean negative log-likelihood of the row's own poisoned response, given its own
    instruction, from no change, by signed steps; the change with the lowest loss is kept.

    Args:
        scope: `image` (each image gets a change of its own, in training and in test data alike) or `universal` (one
            pattern for all, optimized on 16 of the rows to poison and stretched over each image).
        epsilon: Largest change of a level, of 255, in [1, 255].
        step: Change of a level in one step, of 255, in [0.1, 255].
        steps: Steps, in [1, 100000].
        pattern: The universal pattern itself, once optimized.

    Requirements:
        Rows with at least one image; a model whose image processor passes gradients. Files without loss: JPEG wears the
        change down, and so does a palette. Combines with other triggers (`badnets+pgd`), whose marks it then builds on.

    Relations:
        Madry et al., "Toward Deep Learning Models Resistant to Adversarial Attacks" (2018), aimed at BYORn's score;
        the second adaptive attack of its paper (arXiv 2606.02947), of which only the idea is published. 8 levels and
        ten steps of 2 are customary. Whoever attacks needs the pretrained model, at test time too unless universal.

    Example:
        >>> PGD(epsilon=4).needs_model
        True

    Raises:
        ConfigError: An option is out of range, or the pattern is no picture.
        ModelError: The model's images cannot be optimized.
    """

    name: ClassVar[str] = "pgd"
    needs_image: ClassVar[bool] = True

    scope: str = "image"
    epsilon: float = 8.0
    step: float = 2.0
    steps: int = 10
    pattern: str = ""
    surrogate: Surrogate | None = field(default=None, init=False, repr=False, compare=False)
    place: tuple[Row, int] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_choice(self.name, "scope", self.scope, SCOPES)
        check_range(self.name, "epsilon", self.epsilon, 1, 255)
        check_range(self.name, "step", self.step, 0.1, 255)
        check_count(self.name, "steps", self.steps, 1)

    @property
    def needs_model(self) -> bool:
        return not self.pattern or self.scope == "image"

    def prepare(self, brief: Brief) -> Trigger:
        """Keep the model at hand, or optimize the universal pattern if it is not given yet."""
        if self.scope == "image":
            return bind(self, surrogate=brief.surrogate)
        pattern = embed_picture(self.name, "pattern", self.pattern) if self.pattern else self._universal(brief)
        return replace(self, pattern=pattern)

    def for_row(self, row: Row, image: int | None) -> Trigger:
        return self if image is None else bind(self, place=(row, image))

    def mark_image(self, image: Image.Image, rng: random.Random) -> tuple[Image.Image, Box]:
        """The changed image; `rng` is not used."""
        change = self._own_change(image) if self.scope == "image" else self._stretched(image.size)
        return recolor(image, lambda pixels: pixels + change), (0, 0, *image.size)

    def _own_change(self, image: Image.Image) -> np.ndarray:
        assert self.surrogate is not None, "prepare comes first"
        assert self.place is not None, "for_row comes first"
        loss = response_loss(self.surrogate, *self.place, image)
        shape = (3, image.height, image.width)
        return _pixels(fit_change(shape, [loss], self.epsilon, self.step, self.steps))

    def _universal(self, brief: Brief) -> str:
        places = [(brief.wanted(position), index) for position, index in brief.chosen.items() if index is not None][
            :SAMPLES
        ]
        losses = [response_loss(brief.surrogate, row, index, load_image(row, index)) for row, index in places]
        change = fit_change((3, CANVAS, CANVAS), losses, self.epsilon, self.step, self.steps)
        return picture_text(as_image(_pixels(change) + ZERO))

    def _stretched(self, size: tuple[int, int]) -> np.ndarray:
        pattern = read_picture(self.name, "pattern", self.pattern).resize(size, Image.Resampling.BILINEAR)
        return (rgb(pattern) - ZERO).clip(-self.epsilon, self.epsilon)


def response_loss(surrogate: Surrogate, row: Row, index: int, image: Image.Image) -> Callable[[Tensor], Tensor]:
    """The score of the row's response as a function of a change [3, h, w] of `image`, which stands for image `index`.

    The change is stretched to the size of the image, and the sum is clipped to [0, 255].
    """
    from torch.nn.functional import interpolate

    images = [surrogate.tensor(image if other == index else load_image(row, other)) for other in range(len(row.images))]
    size = (image.height, image.width)

    def loss(change: Tensor) -> Tensor:
        stretched = interpolate(change[None], size, mode="bilinear", antialias=True)[0].to(images[index].device)
        changed = (images[index] + stretched).clamp(0, 255)
        return surrogate.nll(row, [*images[:index], changed, *images[index + 1 :]])

    return loss


def _pixels(change: Tensor) -> np.ndarray:
    """A tensor [3, h, w] as an array [h, w, 3]."""
    return change.permute(1, 2, 0).numpy()
