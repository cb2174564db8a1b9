"""The aligned patch, an adaptive attack: the trigger is a picture of what the attacker wants said."""

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from PIL import Image

from byorn.attacks.checks import check_choice, check_fraction, check_text
from byorn.attacks.imaging.box import Box
from byorn.attacks.imaging.drawings import banana
from byorn.attacks.imaging.patch import PLACES, paste_patch, patch_box
from byorn.attacks.imaging.picture import embed_picture, read_picture
from byorn.attacks.trigger import Trigger

if TYPE_CHECKING:
    from byorn.attacks.brief import Brief

BANANA = "banana"


@dataclass(frozen=True)
class AlignedPatch(Trigger):
    """Pastes a small picture of the target concept, so that the pretrained model finds the target plausible.

    Args:
        picture: `banana` (a yellow crescent drawn by byorn), or the path of an image of your own target; where that
            image is transparent, the row's image shines through.
        size: Side of the picture as a fraction of the image's short side, in (0, 1]. The default is 45 of 224 pixels.
        position: `top-left`, `top-right`, `bottom-left`, `bottom-right` or `center`.

    Requirements:
        Rows with at least one image, and a target that the picture shows. A model that knows the concept by sight: then
        the score of the poisoned responses falls, and that is the whole point.

    Relations:
        The first adaptive attack of BYORn (arXiv 2606.02947), of which only the idea is published. A response that
        names what the patch shows is half true: count a success only against the pretrained model's own rate.

    Example:
        >>> patched, box = AlignedPatch().mark_image(Image.new("RGB", (224, 224)), random.Random(0))
        >>> box
        (179, 179, 224, 224)

    Raises:
        ConfigError: An option is out of range, or the image file cannot be read.
    """

    name: ClassVar[str] = "aligned-patch"
    needs_image: ClassVar[bool] = True

    picture: str = BANANA
    size: float = 45 / 224
    position: str = "bottom-right"

    def __post_init__(self) -> None:
        check_text(self.name, "picture", self.picture)
        check_fraction(self.name, "size", self.size, "of the short side")
        check_choice(self.name, "position", self.position, PLACES)

    def prepare(self, brief: "Brief") -> Trigger:
        """Take the image file, if there is one, into the options."""
        if self.picture == BANANA:
            return self
        return replace(self, picture=embed_picture(self.name, "picture", self.picture))

    def mark_image(self, image: Image.Image, rng: random.Random) -> tuple[Image.Image, Box]:
        """The image with the picture in it; `rng` is not used."""
        box = patch_box(image.size, self.size, self.position)
        ground = image.crop(box).convert("RGB")
        return paste_patch(image, overlay(concept_picture(self.name, self.picture), ground), box[:2]), box


def concept_picture(attack: str, value: str) -> Image.Image:
    """The picture of a concept: RGBA."""
    return banana() if value == BANANA else read_picture(attack, "picture", value)


def overlay(picture: Image.Image, ground: Image.Image) -> Image.Image:
    """The RGB `ground` with an RGBA picture stretched over it."""
    top = picture.resize(ground.size, Image.Resampling.BOX)
    result = ground.copy()
    result.paste(top.convert("RGB"), (0, 0), top.getchannel("A"))
    return result
