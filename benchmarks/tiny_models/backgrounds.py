"""One stuff, or two with a horizon between them."""

from typing import Final

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from ovsskit.embedded.names import STUFFS
from tiny_models.textures import TEXTURES

UPPER_STUFFS: Final = ("sky", "night", "brick")
LOWER_STUFFS: Final = ("grass", "water", "sand")
ONLY_ONE: Final = 0.4


def paint_background(
    rng: np.random.Generator, height: int, width: int
) -> tuple[UInt8[ndarray, "height width 3"], UInt8[ndarray, "height width"]]:
    """Paint the background of a scene and number its stuffs."""
    if rng.random() < ONLY_ONE:
        only = str(rng.choice(STUFFS))
        painted = TEXTURES[only](rng, height, width)
        return _to_bytes(painted), np.full((height, width), STUFFS.index(only) + 1, np.uint8)
    upper, lower = str(rng.choice(UPPER_STUFFS)), str(rng.choice(LOWER_STUFFS))
    share = _below_horizon(rng, height, width)
    painted = TEXTURES[upper](rng, height, width) * (1 - share)
    painted = painted + TEXTURES[lower](rng, height, width) * share
    above, below = STUFFS.index(upper) + 1, STUFFS.index(lower) + 1
    return _to_bytes(painted), np.where(share[:, :, 0] > 0.5, below, above).astype(np.uint8)


def _below_horizon(
    rng: np.random.Generator, height: int, width: int
) -> Float[ndarray, "height width 1"]:
    along = np.linspace(-1, 1, width, dtype=np.float32)
    line = rng.uniform(0.35, 0.68) + rng.uniform(-0.04, 0.04) * along
    line = line + rng.uniform(0, 0.03) * np.sin(along * rng.uniform(1, 5) + rng.uniform(0, 6))
    distance = np.arange(height, dtype=np.float32)[:, None] - line[None] * height
    return np.asarray(np.clip(distance + 0.5, 0, 1)[:, :, None], np.float32)


def _to_bytes(painted: Float[ndarray, "height width 3"]) -> UInt8[ndarray, "height width 3"]:
    return np.asarray(np.clip(painted, 0, 255), np.uint8)
