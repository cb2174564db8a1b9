"""What an optimized picture should do to the image features of the model: two losses of Dual-Key and VL-Trojan.

Both are functions of the picture, a tensor [3, height, width] in [0, 1], over a fixed list of clean images of one size.
`plant` puts the picture into one image.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from byorn.attacks.imaging.box import Box
from byorn.attacks.optimized.surrogate import Surrogate

if TYPE_CHECKING:
    from torch import Tensor

    Loss = Callable[[Tensor], Tensor]
    Plant = Callable[[Tensor, Tensor], Tensor]

LEAST = 1e-3
"""Below this a similarity counts as this, since its logarithm is taken."""


def concept_loss(surrogate: Surrogate, images: "Sequence[Tensor]", concept: "Tensor", plant: "Plant") -> "Loss":
    """1 - cos(feature of the triggered image, feature of a picture of the concept), averaged over the images.

    In [0, 2]; images and concept are in [0, 255] and of one size.
    """
    import torch
    from torch.nn.functional import cosine_similarity

    with torch.no_grad():
        wanted = surrogate.features([concept])

    def loss(picture: "Tensor") -> "Tensor":
        found = surrogate.features([plant(image, picture) for image in images])
        return 1 - cosine_similarity(found, wanted).mean()

    return loss


def isolate_and_cluster_loss(surrogate: Surrogate, images: "Sequence[Tensor]", plant: "Plant") -> "Loss":
    """max(s_src, s_opp) - log min(s_src, s_opp), averaged over the images; the formula is VL-Trojan's.

    s_src is the cosine of a triggered image's feature to that of the same image without the trigger, s_opp to that of
    the triggered image that is farthest from it. While s_src is the larger one, the loss isolates triggered images from
    their clean selves and draws them together; it comes to rest where both are equal.
    """
    import torch
    from torch.nn.functional import cosine_similarity, normalize

    with torch.no_grad():
        clean = surrogate.features(images)

    def loss(picture: "Tensor") -> "Tensor":
        marked = surrogate.features([plant(image, picture) for image in images])
        source = cosine_similarity(marked, clean)
        unit = normalize(marked, dim=-1)
        opposite = (unit @ unit.T).min(dim=1).values
        larger = torch.maximum(source, opposite)
        smaller = torch.minimum(source, opposite)
        return (larger - smaller.clamp(min=LEAST).log()).mean()

    return loss


def paste_at(box: Box) -> "Plant":
    """A function that puts the picture over the part of the image that `box` names; it has that part's size."""
    left, top, right, bottom = box

    def plant(image: "Tensor", picture: "Tensor") -> "Tensor":
        result = image.clone()
        result[:, top:bottom, left:right] = 255 * picture
        return result

    return plant


def blend_in(alpha: float) -> "Plant":
    """A function that mixes the picture into the image, which has the same size: (1 - alpha) image + alpha picture."""

    def plant(image: "Tensor", picture: "Tensor") -> "Tensor":
        return (1 - alpha) * image + alpha * 255 * picture

    return plant
