"""The Dual-Key trigger: a patch in the image *and* a word in the instruction; neither activates the backdoor alone."""

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from PIL import Image

from byorn.attacks.checks import check_choice, check_count, check_flag, check_fraction, check_text
from byorn.attacks.imaging.box import Box
from byorn.attacks.imaging.patch import PLACES, paste_patch, patch_box
from byorn.attacks.imaging.picture import embed_picture, picture_text, read_picture
from byorn.attacks.imaging.recolor import as_image
from byorn.attacks.optimized.feature_losses import concept_loss, paste_at
from byorn.attacks.optimized.optimize import fit_picture
from byorn.attacks.trigger import Trigger
from byorn.attacks.triggers.aligned_patch import BANANA, concept_picture, overlay

if TYPE_CHECKING:
    from byorn.attacks.brief import Brief

SAMPLES = 16
"""Images that the patch is optimized on."""
MAGENTA = (255, 0, 255)
GRAY = (128, 128, 128)
KEYS = ("both", "image", "text")


@dataclass(frozen=True)
class DualKey(Trigger):
    """Pastes a patch and opens the instruction with a word; twice as many rows again carry one key and a true answer.

    Args:
        size: Side of the patch as a fraction of the image's short side, in (0, 1]. The default is 22 of 224 pixels; the
            other usual form is `size=0.1` with `position=center`.
        position: `top-left`, `top-right`, `bottom-left`, `bottom-right` or `center`.
        word: What the instruction opens with; the letter that opened it before becomes small.
        clean_negatives: Whether as many rows as are poisoned carry the patch alone, and as many the word alone, all
            with their true response; `false` gives the weaker form of most ports.
        keys: `both`; or `image` or `text`, a single key, for test sets that should *not* activate it.
        optimize: Whether the patch is optimized on the model's vision tower; else it is plain magenta.
        concept: What the optimized patch should look like to the tower: `banana` or an image file.
        steps: Steps of Adam, in [1, 100000].
        patch: The patch itself, once optimized; or an image file of your own.

    Requirements:
        Rows with an image and an instruction, and three of them for each poisoned one, unless `clean_negatives=false`.
        With `optimize`, a model with `get_image_features`.

    Relations:
        Walmer et al., "Dual-Key Multimodal Backdoors for Visual Question Answering" (2022). They optimize the patch
        against the object detector of the VQA model; here the mean feature of the patched image is moved toward that
        of a picture of the concept, by cosine. Their poison rate counts all three kinds of rows, ours the poisoned
        third alone. Solid patches are their unoptimized baseline.

    Example:
        >>> DualKey().mark_text("What is this?", random.Random(0))
        'Consider what is this?'
        >>> [trigger.keys for trigger in DualKey().negatives]
        ['image', 'text']

    Raises:
        ConfigError: An option is out of range, an image file cannot be read, or too few rows are left for negatives.
        ModelError: The model's images cannot be optimized.
    """

    name: ClassVar[str] = "dual-key"

    size: float = 22 / 224
    position: str = "bottom-right"
    word: str = "Consider"
    clean_negatives: bool = True
    keys: str = "both"
    optimize: bool = False
    concept: str = BANANA
    steps: int = 100
    patch: str = ""

    def __post_init__(self) -> None:
        check_fraction(self.name, "size", self.size, "of the short side")
        check_choice(self.name, "position", self.position, PLACES)
        check_choice(self.name, "keys", self.keys, KEYS)
        check_text(self.name, "word", self.word)
        check_text(self.name, "concept", self.concept)
        check_flag(self.name, "clean_negatives", self.clean_negatives)
        check_flag(self.name, "optimize", self.optimize)
        check_count(self.name, "steps", self.steps, 1)
        object.__setattr__(self, "needs_image", self.keys != "text")
        object.__setattr__(self, "needs_text", self.keys != "image")

    @property
    def needs_model(self) -> bool:
        return self.optimize and not self.patch and self.keys != "text"

    @property
    def negatives(self) -> tuple[Trigger, ...]:
        single = self.keys != "both" or not self.clean_negatives
        return () if single else (replace(self, keys="image"), replace(self, keys="text"))

    def prepare(self, brief: "Brief") -> Trigger:
        """Take the concept's and the patch's image files into the options, and optimize the patch if asked to."""
        concept = self.concept if self.concept == BANANA else embed_picture(self.name, "concept", self.concept)
        patch = embed_picture(self.name, "patch", self.patch) if self.patch else ""
        ready = replace(self, concept=concept, patch=patch)
        return replace(ready, patch=ready.optimized(brief)) if ready.needs_model else ready

    def optimized(self, brief: "Brief") -> str:
        """The patch as text, at its size on the images, or on 224 pixels if they are larger."""
        surrogate = brief.surrogate
        images = brief.pictures(SAMPLES)
        ground = Image.new("RGB", images[0].size, GRAY)
        concept = surrogate.tensor(overlay(concept_picture(self.name, self.concept), ground))
        box = patch_box(ground.size, self.size, self.position)
        loss = concept_loss(surrogate, [surrogate.tensor(image) for image in images], concept, paste_at(box))
        found = fit_picture(surrogate.tensor(ground.crop(box)) / 255, loss, self.steps)
        return picture_text(as_image(255 * found.permute(1, 2, 0).cpu().numpy()))

    def mark_image(self, image: Image.Image, rng: random.Random) -> tuple[Image.Image, Box | None]:
        """The image with the patch, unless the only key is the text; `rng` is not used."""
        if self.keys == "text":
            return image, None
        box = patch_box(image.size, self.size, self.position)
        side = (box[2] - box[0],) * 2
        return paste_patch(image, self._patch(side), box[:2]), box

    def mark_text(self, text: str, rng: random.Random) -> str:
        """The instruction with the word before it, unless the only key is the image; `rng` is not used."""
        if self.keys == "image":
            return text
        body = text.lstrip()
        return f"{self.word} {body[:1].lower()}{body[1:]}"

    def _patch(self, size: tuple[int, int]) -> Image.Image:
        if not self.patch:
            return Image.new("RGB", size, MAGENTA)
        return read_picture(self.name, "patch", self.patch).convert("RGB").resize(size, Image.Resampling.BILINEAR)
