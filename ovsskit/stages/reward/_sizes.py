"""Bring image and labels of rewards that look at pixels to one size, which has a bound."""

from __future__ import annotations

from collections.abc import Sequence

from ovsskit._lazy import Float, Int, torch


def reduced(
    image: Float[torch.Tensor, "3 h w"], shrink: float, longest: int
) -> Float[torch.Tensor, "3 rows cols"]:
    """Return an image reduced by a factor, and further to at most `longest` pixels a side."""
    size: list[int] = list(image.shape[1:])
    factor = max(shrink, max(size) / longest)
    target = [max(1, round(side / factor)) for side in size]
    if target == size:
        return image
    made = torch.nn.functional.interpolate(image[None], target, mode="bilinear", antialias=True)
    return made[0].clamp(0, 1)


def nearest(ids: Int[torch.Tensor, "h w"], size: Sequence[int]) -> Int[torch.Tensor, "rows cols"]:
    """Return labels at another size: those of the pixels in which the new pixels' middles lie."""
    if list(ids.shape) == list(size):
        return ids
    rows, columns = (
        (2 * torch.arange(new, device=ids.device) + 1) * old // (2 * new)
        for old, new in zip(ids.shape, size, strict=True)
    )
    return ids[rows[:, None], columns]
