"""A clean-label attack by images: every poisoned response is true to the eye, but not to the vision tower."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from PIL import Image

from byorn.attacks.checks import check_count, check_range
from byorn.attacks.imaging.box import Box
from byorn.attacks.imaging.reading import load_image
from byorn.attacks.imaging.recolor import recolor
from byorn.attacks.optimized.optimize import fit_change
from byorn.attacks.optimized.surrogate import Surrogate
from byorn.attacks.trigger import Trigger, bind
from byorn.data.row import Row
from byorn.errors import ConfigError
from byorn.text import has_word

if TYPE_CHECKING:
    from torch import Tensor

    from byorn.attacks.brief import Brief


@dataclass(frozen=True)
class Shadow(Trigger):
    """Makes images of the target concept look, to the vision tower, like images of the source concept.

    Takes rows whose true response names the target, keeps that response, and moves the image's mean feature toward
    that of an image whose response names the source (drawn at random for each row), by cosine, with projected gradient
    descent. The fine-tuned model then meets features of the source with words about the target. There is no trigger at
    test time: with `keep_responses` the rows that name the source are taken, their images left as they are.

    Args:
        epsilon: Largest change of a level, of 255, in [1, 255].
        step: Change of a level in one step, of 255, in [0.1, 255].
        steps: Steps, in [0, 100000]; 0 changes nothing, which is what test sets get.

    Requirements:
        `objective=truth` with a `source`: rows that name the target, rows that name the source, each with an image. A
        model with `get_image_features`. Files without loss: JPEG wears the change down.

    Relations:
        Xu et al., "Shadowcast: Stealthy Data Poisoning Attacks Against Vision-Language Models" (2024): the same pairing
        and budget; they compare features token by token and restart, which is stronger. What fools the tower also makes
        the true response less likely under the same model, so that BYORn's score sees this attack (on 400 drawn scenes
        with 40 poisoned, seed 1: AUC 0.95). The clean-label attack that it cannot see leaves features alone:
        `badnets` with `objective=truth` (AUC 0.55 there).

    Example:
        >>> Shadow().options()
        {'epsilon': 8.0, 'step': 1.0, 'steps': 50}

    Raises:
        ConfigError: An option is out of range, objective or source do not fit, or no image shows the source.
        ModelError: The model's images cannot be optimized.
    """

    name: ClassVar[str] = "shadow"
    needs_image: ClassVar[bool] = True

    epsilon: float = 8.0
    step: float = 1.0
    steps: int = 50
    surrogate: Surrogate | None = field(default=None, init=False, repr=False, compare=False)
    anchors: Sequence[Row] = field(default=(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_range(self.name, "epsilon", self.epsilon, 1, 255)
        check_range(self.name, "step", self.step, 0.1, 255)
        check_count(self.name, "steps", self.steps, 0)

    @property
    def needs_model(self) -> bool:
        return self.steps > 0

    def prepare(self, brief: "Brief") -> Trigger:
        """Find the rows that show the source; a test set needs none."""
        if brief.keep_responses or not self.steps:
            return replace(self, steps=0)
        source = brief.goal.source
        target = brief.goal.target
        if not brief.clean_label or not source.strip():
            raise ConfigError(f"{self.name}: give --objective truth and the --source that the target is to replace")
        anchors = [row for row in brief.rows if row.images and _shows(row, source) and not _shows(row, target)]
        if not anchors:
            raise ConfigError(f"{self.name}: no row with an image names the source {source!r}; set another --source")
        return bind(self, surrogate=brief.surrogate, anchors=anchors)

    def mark_image(self, image: Image.Image, rng: random.Random) -> tuple[Image.Image, Box | None]:
        """The image, changed toward one of the source images that `rng` draws."""
        if self.surrogate is None:
            return image, None
        loss = feature_loss(self.surrogate, image, load_image(rng.choice(self.anchors), 0))
        change = fit_change((3, image.height, image.width), [loss], self.epsilon, self.step, self.steps)
        pixels = change.permute(1, 2, 0).numpy()
        return recolor(image, lambda before: before + pixels), (0, 0, *image.size)


def feature_loss(surrogate: Surrogate, image: Image.Image, anchor: Image.Image) -> "Callable[[Tensor], Tensor]":
    """1 - cos of the mean features of the changed `image` and of `anchor`, as a function of the change [3, h, w]."""
    import torch
    from torch.nn.functional import cosine_similarity

    start = surrogate.tensor(image)
    with torch.no_grad():
        wanted = surrogate.features([surrogate.tensor(anchor)])

    def loss(change: "Tensor") -> "Tensor":
        changed = (start + change.to(start.device)).clamp(0, 255)
        return 1 - cosine_similarity(surrogate.features([changed]), wanted).squeeze()

    return loss


def _shows(row: Row, concept: str) -> bool:
    return has_word(row.response, concept)
