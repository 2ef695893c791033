"""Procedural images of the stuffs."""

from collections.abc import Callable
from typing import Final

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from PIL import Image

MORTAR: Final = np.array([204, 194, 182], np.float32)

Texture = Callable[[np.random.Generator, int, int], Float[ndarray, "height width 3"]]


def smooth_noise(
    rng: np.random.Generator, height: int, width: int, rows: int | float, columns: int | float
) -> Float[ndarray, "height width 1"]:
    """Interpolate a grid of random numbers between -1 and 1."""
    grid = rng.uniform(-1, 1, (max(2, round(rows)), max(2, round(columns)))).astype(np.float32)
    noise = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(noise)[:, :, None]


def gradient(
    rng: np.random.Generator, height: int, top: tuple[int, ...], bottom: tuple[int, ...]
) -> Float[ndarray, "height 1 3"]:
    """Blend two colours from top to bottom after a small random change of both."""
    change = rng.uniform(0.9, 1.1, 3) * rng.uniform(0.9, 1.1)
    ends = np.array([top, bottom], np.float32) * change.astype(np.float32)
    blend = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    painted: ndarray = ends[0] * (1 - blend) + ends[1] * blend
    return painted


def sky(rng: np.random.Generator, height: int, width: int) -> Float[ndarray, "height width 3"]:
    """Paint a blue sky with soft clouds."""
    unit = min(height, width)
    rows, columns = 6 * height / unit, 4 * width / unit
    cloud = smooth_noise(rng, height, width, rows, columns)
    cloud = cloud + 0.5 * smooth_noise(rng, height, width, rows * 2.5, columns * 2.5)
    white = np.clip(cloud * 1.2 - rng.uniform(0.0, 0.6), 0, 0.85)
    return gradient(rng, height, (88, 158, 232), (172, 214, 244)) * (1 - white) + 252 * white


def grass(rng: np.random.Generator, height: int, width: int) -> Float[ndarray, "height width 3"]:
    """Paint a lawn with upright blades."""
    unit = min(height, width)
    blades = smooth_noise(rng, height, width, 18 * height / unit, 60 * width / unit)
    patches = smooth_noise(rng, height, width, 4, 4)
    return gradient(rng, height, (126, 184, 76), (78, 146, 52)) * (
        1 + 0.16 * blades + 0.1 * patches
    )


def water(rng: np.random.Generator, height: int, width: int) -> Float[ndarray, "height width 3"]:
    """Paint water with level ripples."""
    unit = min(height, width)
    ripples = smooth_noise(rng, height, width, 34 * height / unit, 7 * width / unit)
    swell = smooth_noise(rng, height, width, 9 * height / unit, 3 * width / unit)
    light = np.clip(ripples + 0.4 * swell - 0.35, 0, 1)
    base = gradient(rng, height, (44, 138, 164), (22, 84, 132)) * (1 + 0.1 * swell)
    return base + 110 * light


def sand(rng: np.random.Generator, height: int, width: int) -> Float[ndarray, "height width 3"]:
    """Paint sand with grains and low dunes."""
    unit = min(height, width)
    grains = smooth_noise(rng, height, width, 70 * height / unit, 70 * width / unit)
    dunes = smooth_noise(rng, height, width, 7, 2)
    return gradient(rng, height, (236, 212, 160), (216, 182, 122)) * (
        1 + 0.07 * grains + 0.06 * dunes
    )


def brick(rng: np.random.Generator, height: int, width: int) -> Float[ndarray, "height width 3"]:
    """Paint a brick wall with mortar."""
    brick_height = min(height, width) * rng.uniform(0.07, 0.11)
    brick_width, joint = brick_height * 2.2, brick_height * 0.13
    down = np.arange(height, dtype=np.float32)[:, None] + rng.uniform(0, brick_height)
    row = (down // brick_height).astype(int)
    along = np.arange(width, dtype=np.float32)[None] + brick_width * (1 + 0.5 * (row % 2))
    column = (along // brick_width).astype(int)
    tones = rng.uniform(0.82, 1.14, (row.max() + 1, column.max() + 1)).astype(np.float32)
    edge = np.minimum(
        np.minimum(down % brick_height, brick_height - down % brick_height),
        np.minimum(along % brick_width, brick_width - along % brick_width),
    )
    solid = np.clip(edge - joint / 2 + 0.5, 0, 1)[:, :, None]
    rough = 1 + 0.06 * smooth_noise(rng, height, width, height / 3, width / 3)
    shade = tones[row, column][:, :, None] * rough
    bricks = gradient(rng, height, (178, 88, 66), (162, 76, 58)) * shade
    return np.asarray(bricks * solid + MORTAR * (1 - solid))


def night(rng: np.random.Generator, height: int, width: int) -> Float[ndarray, "height width 3"]:
    """Paint a dark sky with stars."""
    unit = min(height, width)
    painted = gradient(rng, height, (10, 12, 40), (42, 34, 84)) + np.zeros(
        (height, width, 3), np.float32
    )
    painted *= 1 + 0.2 * smooth_noise(rng, height, width, 3, 3)
    down, along = np.mgrid[-3:4, -3:4].astype(np.float32)
    for _ in range(rng.integers(20, 46)):
        radius = max(0.5, unit * rng.uniform(0.002, 0.006))
        y, x = rng.integers(3, height - 3), rng.integers(3, width - 3)
        star = np.exp(-(down**2 + along**2) / (2 * radius**2))[:, :, None] * rng.uniform(0.5, 1)
        around = painted[y - 3 : y + 4, x - 3 : x + 4]
        around += (250 - around) * star
    return painted


TEXTURES: Final[dict[str, Texture]] = {
    "sky": sky,
    "grass": grass,
    "water": water,
    "sand": sand,
    "brick": brick,
    "night": night,
}
