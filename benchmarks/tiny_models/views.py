"""Cut views of images at random places and sizes, and change their colours."""

from typing import Final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample

from ovsskit.backbones.dino._vision import DEVIATION, MEAN

LARGEST_STRETCH: Final = 1.15
JITTER: Final = 0.3
"""Largest change of brightness, contrast and saturation."""
HUE_TURN: Final = 0.3
"""Largest turn of hues, in radians."""
GREY: Final = 0.1
BLURRED: Final = 0.3
LUMINANCE: Final = (0.299, 0.587, 0.114)
TO_YIQ: Final = (LUMINANCE, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


def cut_views(
    rng: np.random.Generator,
    images: UInt8[ndarray, "b h w 3"],
    side: int,
    areas: tuple[float, float],
) -> Float[Tensor, "b 3 side side"]:
    """Return one view of each image, of a share of its area between these, normalised."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float().div(255)
    return _normalise(_blur(rng, _recolour(rng, _cut(rng, pixels, side, areas))))


def _cut(
    rng: np.random.Generator,
    pixels: Float[Tensor, "b 3 h w"],
    side: int,
    areas: tuple[float, float],
) -> Float[Tensor, "b 3 side side"]:
    count = len(pixels)
    length = np.sqrt(rng.uniform(*areas, count))
    stretch = LARGEST_STRETCH ** rng.uniform(-1, 1, count)
    sides = np.minimum(1, np.stack([length * stretch, length / stretch], 1))
    centres = rng.uniform(-1, 1, (count, 2)) * (1 - sides)
    mirrored = np.where(rng.random(count) < 0.5, -1, 1)
    matrices = np.zeros((count, 2, 3), np.float32)
    matrices[:, 0, 0], matrices[:, 1, 1] = sides[:, 0] * mirrored, sides[:, 1]
    matrices[:, :, 2] = centres
    grid = affine_grid(torch.from_numpy(matrices), [count, 3, side, side], align_corners=False)
    return grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def _recolour(
    rng: np.random.Generator, pixels: Float[Tensor, "b 3 h w"]
) -> Float[Tensor, "b 3 h w"]:
    """Change brightness and contrast, and turn and stretch colours around grey."""
    count = len(pixels)
    bright, contrast, saturation = (
        torch.from_numpy(rng.uniform(1 - JITTER, 1 + JITTER, (3, count))).float().unbind()
    )
    saturation[torch.from_numpy(rng.random(count) < GREY)] = 0
    turn = torch.from_numpy(rng.uniform(-HUE_TURN, HUE_TURN, count)).float()
    to_yiq = torch.tensor(TO_YIQ)
    change = torch.zeros(count, 3, 3)
    change[:, 0, 0] = 1
    change[:, 1, 1] = change[:, 2, 2] = saturation * turn.cos()
    change[:, 1, 2], change[:, 2, 1] = -saturation * turn.sin(), saturation * turn.sin()
    matrices = bright[:, None, None] * (torch.linalg.inv(to_yiq) @ change @ to_yiq)
    coloured = torch.einsum("bij,bjhw->bihw", matrices, pixels)
    means = coloured.mean((2, 3), keepdim=True)
    return (means + contrast[:, None, None, None] * (coloured - means)).clamp(0, 1)


def _blur(rng: np.random.Generator, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    chosen = torch.from_numpy(rng.random(len(pixels)) < BLURRED)
    blurred = avg_pool2d(pixels, 3, 1, 1, count_include_pad=False)
    return torch.where(chosen[:, None, None, None], blurred, pixels)


def _normalise(pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    mean, deviation = torch.tensor(MEAN), torch.tensor(DEVIATION)
    return (pixels - mean[:, None, None]) / deviation[:, None, None]
