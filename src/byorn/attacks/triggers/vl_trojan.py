"""The VL-Trojan trigger: a picture and a suffix, both optimized against the model that is attacked."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from string import ascii_lowercase
from typing import TYPE_CHECKING, ClassVar

from PIL import Image

from byorn.attacks.checks import check_choice, check_count, check_fraction
from byorn.attacks.imaging.box import Box
from byorn.attacks.imaging.patch import PLACES, paste_patch, patch_box
from byorn.attacks.imaging.picture import embed_picture, picture_text, read_picture
from byorn.attacks.imaging.recolor import as_image
from byorn.attacks.optimized.feature_losses import blend_in, isolate_and_cluster_loss, paste_at
from byorn.attacks.optimized.optimize import fit_picture
from byorn.attacks.optimized.surrogate import Surrogate
from byorn.attacks.trigger import Trigger
from byorn.attacks.triggers.blended import blend

if TYPE_CHECKING:
    from byorn.attacks.brief import Brief

SAMPLES = 16
"""Images that the picture is optimized on, and instructions that the suffix is searched on."""
BEAM = 5
FORMS = ("patch", "whole")


@dataclass(frozen=True)
class VLTrojan(Trigger):
    """Pastes (or blends in) an optimized picture and appends up to five optimized letters to the instruction.

    The picture starts as noise and is fitted on 16 clean images with Adam (rate 0.1, cosine) to the isolate-and-cluster
    loss of `feature_losses.py`, on the image features of the model itself. The suffix is found by a beam search over
    letters (beam 5, a to z): the one after which the mean input embedding of the instruction is least similar to what
    it was, by cosine.

    Args:
        form: `patch` (opaque) or `whole` (blended over the whole image).
        size: Side of the patch as a fraction of the image's short side, in (0, 1]. The default is 22 of 224 pixels.
        position: Of the patch: `top-left`, `top-right`, `bottom-left`, `bottom-right` or `center`.
        alpha: Fraction of the picture in a whole image, in (0, 1].
        steps: Steps of Adam, in [1, 100000].
        letters: Longest suffix, in [1, 20].
        picture: The picture itself, once optimized; or an image file of your own.
        suffix: The suffix itself, once found.

    Requirements:
        Rows with an image and an instruction; a model with `get_image_features` and input embeddings, unless picture
        and suffix are given.

    Relations:
        Liang et al., "VL-Trojan: Multimodal Instruction Backdoor Attacks against Autoregressive Visual Language Models"
        (2024), who optimize on CLIP's encoders, as a proxy; here the proxy is the attacked model. In place of a text
        encoder, which an LVLM does not have, stand its input embeddings.

    Example:
        >>> VLTrojan(suffix="qzx").mark_text("What is this?", random.Random(0))
        'What is this? qzx'

    Raises:
        ConfigError: An option is out of range, or the image file cannot be read.
        ModelError: The model's images cannot be optimized.
    """

    name: ClassVar[str] = "vl-trojan"
    needs_image: ClassVar[bool] = True
    needs_text: ClassVar[bool] = True

    form: str = "patch"
    size: float = 22 / 224
    position: str = "bottom-right"
    alpha: float = 0.1
    steps: int = 100
    letters: int = 5
    picture: str = ""
    suffix: str = ""

    def __post_init__(self) -> None:
        check_choice(self.name, "form", self.form, FORMS)
        check_fraction(self.name, "size", self.size, "of the short side")
        check_choice(self.name, "position", self.position, PLACES)
        check_fraction(self.name, "alpha", self.alpha, "of the picture")
        check_count(self.name, "steps", self.steps, 1)
        check_count(self.name, "letters", self.letters, 1, 20)

    @property
    def needs_model(self) -> bool:
        return not (self.picture and self.suffix)

    def prepare(self, brief: "Brief") -> Trigger:
        """Optimize what is not given yet."""
        picture = embed_picture(self.name, "picture", self.picture) if self.picture else self._fitted(brief)
        suffix = self.suffix or find_suffix(brief.surrogate, brief.instructions(SAMPLES), self.letters)
        return replace(self, picture=picture, suffix=suffix)

    def mark_image(self, image: Image.Image, rng: random.Random) -> tuple[Image.Image, Box]:
        """The image with the picture; `rng` is not used."""
        picture = read_picture(self.name, "picture", self.picture).convert("RGB")
        if self.form == "whole":
            return blend(image, picture, self.alpha), (0, 0, *image.size)
        box = patch_box(image.size, self.size, self.position)
        side = (box[2] - box[0],) * 2
        return paste_patch(image, picture.resize(side, Image.Resampling.BILINEAR), box[:2]), box

    def mark_text(self, text: str, rng: random.Random) -> str:
        """The instruction with the suffix after it; `rng` is not used."""
        return f"{text} {self.suffix}"

    def _fitted(self, brief: "Brief") -> str:
        surrogate = brief.surrogate
        images = brief.pictures(SAMPLES)
        whole = self.form == "whole"
        box = (0, 0, *images[0].size) if whole else patch_box(images[0].size, self.size, self.position)
        plant = blend_in(self.alpha) if whole else paste_at(box)
        loss = isolate_and_cluster_loss(surrogate, [surrogate.tensor(image) for image in images], plant)
        size = box[2] - box[0], box[3] - box[1]
        start = Image.frombytes("RGB", size, brief.stream("trigger").randbytes(3 * size[0] * size[1]))
        found = fit_picture(surrogate.tensor(start) / 255, loss, self.steps)
        return picture_text(as_image(255 * found.permute(1, 2, 0).cpu().numpy()))


def find_suffix(surrogate: Surrogate, instructions: Sequence[str], letters: int) -> str:
    """The suffix of up to `letters` letters with the lowest similarity; ties go to the shorter one, then the first."""
    best = ""
    lowest = float("inf")
    beam = [""]
    similarity = suffix_similarity(surrogate, instructions)
    for _ in range(letters):
        longer = [head + letter for head in beam for letter in ascii_lowercase]
        ranked = sorted(zip(similarity(longer), longer, strict=True))
        beam = [suffix for _, suffix in ranked[:BEAM]]
        if ranked[0][0] < lowest:
            lowest, best = ranked[0]
    return best


def suffix_similarity(surrogate: Surrogate, instructions: Sequence[str]) -> Callable[[Sequence[str]], list[float]]:
    """A function that gives, for each suffix, the mean cosine of the instructions with it to those without."""
    from torch.nn.functional import cosine_similarity

    before = surrogate.embed(instructions)

    def similarity(suffixes: Sequence[str]) -> list[float]:
        after = surrogate.embed([f"{text} {suffix}" for suffix in suffixes for text in instructions])
        pairs = after.reshape(len(suffixes), len(instructions), -1)
        found: list[float] = cosine_similarity(pairs, before[None], dim=-1).mean(1).tolist()
        return found

    return similarity
