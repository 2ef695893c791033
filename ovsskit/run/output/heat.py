"""Draw maps of numbers as heat over a grey image, and several of them on one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import PIL.Image
import PIL.ImageDraw

from ovsskit._lazy import Float, UInt8, numpy
from ovsskit.run.output.fonts import font_for

HEAT = (
    (0, 0, 4),
    (50, 10, 94),
    (120, 28, 109),
    (187, 55, 84),
    (237, 105, 37),
    (252, 165, 10),
    (252, 255, 164),
)
"""Colours from low to high, evenly spaced; their brightness rises, so they also work in grey."""

WIDEST = 1320
"""How many pixels the tiles of a row may take together."""
GAP, LETTERS = 10, 14
ROUNDING = 1e-5
"""How far values may lie apart, as a share of the largest, that are equal but for rounding."""


@dataclass(frozen=True)
class Tile:
    """Hold one small image and what stands under it."""

    image: PIL.Image.Image
    caption: str


def heat_colours(values: Float[numpy.ndarray, "h w"]) -> UInt8[numpy.ndarray, "h w 3"]:
    """Colour values from 0 to 1."""
    steps = numpy.linspace(0, 1, len(HEAT))
    channels = [
        numpy.interp(values, steps, [colour[channel] for colour in HEAT]) for channel in range(3)
    ]
    return numpy.stack(channels, axis=-1).round().astype("uint8")


def heat_tile(values: Float[numpy.ndarray, "h w"], ground: PIL.Image.Image, name: str) -> Tile:
    """Draw one map over the image in grey, from its lowest to its highest value.

    The caption gives both values. A map that varies by rounding alone has one colour.
    """
    finite = numpy.nan_to_num(values, posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    varies = high - low > ROUNDING * max(abs(low), abs(high))
    shares = (finite - low) / (high - low) if varies else numpy.zeros_like(finite)
    heat = PIL.Image.fromarray(heat_colours(shares))
    large = heat.resize(
        ground.size, PIL.Image.Resampling.NEAREST if max(values.shape) < max(ground.size) else None
    )
    grey = ground.convert("L").convert("RGB")
    return Tile(PIL.Image.blend(grey, large, 0.7), f"{name}  {low:.2g} to {high:.2g}")


def draw_sheet(tiles: Sequence[Tile], note: str = "") -> PIL.Image.Image:
    """Put tiles of one size on a sheet, row by row, each with its caption."""
    width = max(160, tiles[0].image.width)
    height = tiles[0].image.height + LETTERS * 2
    columns = max(1, min(len(tiles), (WIDEST + GAP) // (width + GAP)))
    rows = math.ceil(len(tiles) / columns)
    sheet = PIL.Image.new(
        "RGB",
        (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP + bool(note) * LETTERS * 2),
        "white",
    )
    draw = PIL.ImageDraw.Draw(sheet)
    for index, tile in enumerate(tiles):
        left, top = index % columns * (width + GAP), index // columns * (height + GAP)
        sheet.paste(tile.image, (left, top))
        _write(draw, left, top + tile.image.height + LETTERS, tile.caption)
    _write(draw, 0, sheet.height - LETTERS, note)
    return sheet


def _write(draw: PIL.ImageDraw.ImageDraw, left: int, middle: int, text: str) -> None:
    font = font_for(text, LETTERS)
    if font is None:
        text = text.encode("ascii", "replace").decode()
    draw.text((left, middle), text, fill="black", font=font or font_for(text, LETTERS), anchor="lm")
