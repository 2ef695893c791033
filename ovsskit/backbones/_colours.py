"""Bring the colours of images to what a network was trained with."""

from __future__ import annotations

from collections.abc import Sequence

from ovsskit._lazy import Float, torch
from ovsskit.engine.sending import send_numbers

Colour = tuple[()] | tuple[float, float, float]
"""Red, green and blue, on a scale to 255; none where the model knows them itself."""


def standardise(
    colours: Float[torch.Tensor, "3 h w"], mean: Sequence[float], deviation: Sequence[float]
) -> Float[torch.Tensor, "3 h w"]:
    """Return colours from 0 to 1 less a mean, divided by a deviation, both on a scale to 255."""
    middle, spread = (send_numbers(values, colours)[:, None, None] for values in (mean, deviation))
    return (colours * 255 - middle) / spread
