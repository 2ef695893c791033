"""Change a drawing so that no two images hold the same one."""

from typing import Final

import numpy as np
from PIL import Image

UNCHANGED: Final = 0.25
ANY_HUE: Final = 0.45
GREY: Final = 0.05
SMALL_TURN: Final = 20
LARGEST_SHEAR: Final = 0.22
LARGEST_STRETCH: Final = 0.25


def vary(rng: np.random.Generator, drawing: Image.Image) -> Image.Image:
    """Turn the hues, shear and stretch; now and then leave the drawing as it is."""
    if rng.random() < UNCHANGED:
        return drawing
    return _shear(rng, _recolour(rng, drawing))


def _recolour(rng: np.random.Generator, drawing: Image.Image) -> Image.Image:
    alpha = drawing.getchannel("A")
    if rng.random() < GREY:
        return Image.merge("LA", (drawing.convert("L"), alpha)).convert("RGBA")
    reach = 128 if rng.random() < ANY_HUE else SMALL_TURN
    turn = int(rng.integers(-reach, reach))
    strength, light = rng.uniform(0.6, 1.25), rng.uniform(0.8, 1.15)
    hue, saturation, value = drawing.convert("RGB").convert("HSV").split()
    turned = Image.merge(
        "HSV",
        (
            hue.point([(level + turn) % 256 for level in range(256)]),
            saturation.point([min(255, int(level * strength)) for level in range(256)]),
            value.point([min(255, int(level * light)) for level in range(256)]),
        ),
    ).convert("RGB")
    turned.putalpha(alpha)
    return turned


def _shear(rng: np.random.Generator, drawing: Image.Image) -> Image.Image:
    shear = rng.uniform(-LARGEST_SHEAR, LARGEST_SHEAR)
    stretch = 1 + rng.uniform(-LARGEST_STRETCH, LARGEST_STRETCH)
    width, height = drawing.size
    reach = abs(shear) * height
    wide = round((width + reach) * stretch)
    start = min(0.0, -shear * height)
    matrix = (1 / stretch, shear, start if shear > 0 else 0.0, 0.0, 1.0, 0.0)
    return drawing.transform(
        (wide, height), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
    )
