"""Resize maps by cubic splines, zeros around them, as `skimage.transform.resize` (order 3)."""

from __future__ import annotations

from ovsskit._lazy import Float, torch
from ovsskit.engine.devices import in_float64
from ovsskit.engine.sending import send

PADDING = 12
"""Zeros on either side of the spline; any further ones change it by less than a millionth."""
TRUNCATE = 4.0


def resize_cubic(
    maps: Float[torch.Tensor, "class rows cols"], size: int
) -> Float[torch.Tensor, "class size size"]:
    """Return maps of `size` times `size`, blurred before they shrink, within each map's range."""
    exact = in_float64(maps)
    vertical, horizontal = (
        send(resize_matrix(side, size), exact.device) for side in maps.shape[1:]
    )
    found = vertical @ exact @ horizontal.T
    within = found.clamp(exact.amin((1, 2), keepdim=True), exact.amax((1, 2), keepdim=True))
    return within.to(maps.dtype).to(maps.device)


def resize_matrix(source: int, target: int) -> Float[torch.Tensor, "target source"]:
    """Return the matrix that resizes a line of pixels, in float64."""
    knots = torch.arange(source + 2 * PADDING, dtype=torch.float64)
    spline = torch.linalg.solve(
        b_spline(knots[:, None] - knots), torch.eye(len(knots), dtype=torch.float64)
    )
    centres = (torch.arange(target, dtype=torch.float64) + 0.5) * source / target - 0.5 + PADDING
    matrix: torch.Tensor = b_spline(centres[:, None] - knots) @ spline[:, PADDING:-PADDING]
    sigma = (source / target - 1) / 2
    return matrix.matmul(blur_with_zeros(source, sigma)) if sigma > 0 else matrix


def b_spline(distance: Float[torch.Tensor, "row col"]) -> Float[torch.Tensor, "row col"]:
    """Return the cubic B-spline at this many pixels from its middle."""
    away = distance.abs()
    near, far = 2 / 3 - away**2 + away**3 / 2, (2 - away).clamp(min=0) ** 3 / 6
    return torch.where(away < 1, near, far)


def blur_with_zeros(size: int, sigma: float) -> Float[torch.Tensor, "size size"]:
    """Return the matrix that blurs a line of pixels with zeros around it."""
    radius = int(TRUNCATE * sigma + 0.5)
    steps = torch.arange(-radius, radius + 1, dtype=torch.float64)
    places = torch.arange(size, dtype=torch.float64)
    distance = (places[:, None] - places).abs()
    kernel = (
        torch.exp(-0.5 * (distance / sigma) ** 2) / torch.exp(-0.5 * (steps / sigma) ** 2).sum()
    )
    return torch.where(distance <= radius, kernel, 0)
