"""The two optimizers of the attacks: Adam on a picture, and signed gradient steps on a small change of images.

Both are deterministic on a CPU and return the best point that they met, so that no loss ends above its start.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

RATE = 0.1


def fit_picture(start: "Tensor", loss: "Callable[[Tensor], Tensor]", steps: int) -> "Tensor":
    """The picture in [0, 1] with the lowest `loss` along `steps` of Adam: rate 0.1, cosine schedule, clipped after
    each step.
    """
    import torch

    picture = start.clone().requires_grad_()
    adam = torch.optim.Adam([picture], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    best = start
    lowest = float("inf")
    for _ in range(steps):
        value = loss(picture)
        if value.item() < lowest:
            best = picture.detach().clone()
            lowest = value.item()
        (picture.grad,) = torch.autograd.grad(value, picture)
        adam.step()
        schedule.step()
        with torch.no_grad():
            picture.clamp_(0, 1)
    with torch.no_grad():
        return picture.detach() if loss(picture).item() < lowest else best


def fit_change(
    shape: Sequence[int], losses: "Sequence[Callable[[Tensor], Tensor]]", epsilon: float, step: float, steps: int
) -> "Tensor":
    """The change in [-epsilon, epsilon] with the lowest sum of `losses` along `steps` of projected gradient descent.

    Starts at no change and moves every entry by `step` against the sign of its gradient. The losses are differentiated
    one by one, so that memory is that of one of them.
    """
    import torch

    change = best = torch.zeros(*shape)
    lowest = float("inf")
    for _ in range(steps):
        value, gradient = _summed(losses, change)
        if value < lowest:
            best = change
            lowest = value
        change = (change - step * gradient.sign()).clamp(-epsilon, epsilon)
    with torch.no_grad():
        return change if sum(loss(change).item() for loss in losses) < lowest else best


def _summed(losses: "Sequence[Callable[[Tensor], Tensor]]", change: "Tensor") -> "tuple[float, Tensor]":
    import torch

    value = 0.0
    gradient = torch.zeros_like(change)
    for loss in losses:
        point = change.clone().requires_grad_()
        one = loss(point)
        gradient += torch.autograd.grad(one, point)[0]
        value += one.item()
    return value, gradient
