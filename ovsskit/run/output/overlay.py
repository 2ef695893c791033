"""Draw classes over an image: tinted areas with crisp borders, and a legend with areas."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import PIL.Image
import PIL.ImageDraw

from ovsskit._lazy import Int, UInt8, numpy
from ovsskit.engine.values import Vocabulary
from ovsskit.run.output.fonts import font_for

SHORTEST, LONGEST = 640, 2048
"""Longer sides of overlays in pixels: whole numbers enlarge smaller images, larger ones shrink."""
TINT = 0.55
MOST_ROWS = 12


@dataclass(frozen=True)
class Area:
    """Say how much of an image a class covers: number, name, colour, fraction from 0 to 1."""

    number: int
    name: str
    colour: tuple[int, int, int]
    fraction: float

    @property
    def percent(self) -> str:
        """Return the fraction in per cent, with a decimal where it is small."""
        value = 100 * self.fraction
        return "< 0.1 %" if value < 0.1 else f"{value:.1f} %" if value < 10 else f"{value:.0f} %"


def measure_areas(labels: Int[numpy.ndarray, "h w"], vocabulary: Vocabulary) -> list[Area]:
    """Return how much of an image each of its classes covers, the largest first."""
    numbers, counts = numpy.unique(labels, return_counts=True)
    return list_areas(dict(zip(numbers.tolist(), counts.tolist(), strict=True)), vocabulary)


def list_areas(counts: Mapping[int, int], vocabulary: Vocabulary) -> list[Area]:
    """Return the areas of classes of which the numbers of pixels are known, the largest first."""
    known = dict(
        zip(vocabulary.ids, zip(vocabulary.labels, vocabulary.colours, strict=True), strict=True)
    )
    whole = sum(counts.values())
    areas = [Area(number, *known[number], count / whole) for number, count in counts.items()]
    return sorted(areas, key=lambda area: -area.fraction)


def draw_overlay(
    pixels: UInt8[numpy.ndarray, "h w 3"],
    labels: Int[numpy.ndarray, "h w"],
    vocabulary: Vocabulary,
    areas: list[Area] | None = None,
) -> PIL.Image.Image:
    """Draw the classes over the image, with a legend beside it, or beneath where the image is wide.

    The legend names the areas; without any, those of the label map.

    The longer side of the image is brought between `SHORTEST` and `LONGEST` pixels; masks keep the
    original size.
    """
    longest = max(labels.shape)
    scale = min(float(math.ceil(SHORTEST / longest)), LONGEST / longest)
    image = tint_image(*resize_both(pixels, labels, scale), vocabulary)
    areas = areas or measure_areas(labels, vocabulary)
    legend = _Legend(areas, max(15, round(max(image.size) / 48)))
    width, height = image.size
    beneath = width > 1.7 * height
    columns, rows = (
        (width // legend.column, MOST_ROWS) if beneath else (1, height // legend.row - 1)
    )
    drawn = legend.draw(columns, rows)
    canvas = (width, height + drawn.height) if beneath else (width + drawn.width, height)
    whole = PIL.Image.new("RGB", canvas, "white")
    whole.paste(image)
    whole.paste(drawn, (0, height) if beneath else (width, 0))
    return whole


def resize_both(
    pixels: UInt8[numpy.ndarray, "h w 3"], labels: Int[numpy.ndarray, "h w"], scale: float
) -> tuple[PIL.Image.Image, Int[numpy.ndarray, "rows cols"]]:
    """Resize an image smoothly, and its label map without mixing labels."""
    image, numbers = PIL.Image.fromarray(pixels), PIL.Image.fromarray(labels.astype("int32"))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    smooth, nearest = PIL.Image.Resampling.BICUBIC, PIL.Image.Resampling.NEAREST
    return image.resize(size, smooth), numpy.asarray(numbers.resize(size, nearest))


def tint_image(
    image: PIL.Image.Image, labels: Int[numpy.ndarray, "h w"], vocabulary: Vocabulary
) -> PIL.Image.Image:
    """Tint every class but the background, and draw its border in its full colour."""
    table = numpy.zeros((max(vocabulary.ids) + 1, 3), "float32")
    table[list(vocabulary.ids)] = vocabulary.colours
    border = _borders(labels, max(1, round(max(image.size) / 450)))
    weight = numpy.where(border, 1.0, TINT)[..., None] * (labels != vocabulary.ids[0])[..., None]
    mixed = numpy.asarray(image) * (1 - weight) + table[labels] * weight
    return PIL.Image.fromarray(mixed.round().astype("uint8"))


def _borders(labels: numpy.ndarray, width: int) -> numpy.ndarray:
    """Mark pixels with another class at most `width` pixels above, below, left or right."""
    marked = numpy.zeros(labels.shape, bool)
    for step in range(1, width + 1):
        down, right = labels[step:] != labels[:-step], labels[:, step:] != labels[:, :-step]
        marked[step:] |= down
        marked[:-step] |= down
        marked[:, step:] |= right
        marked[:, :-step] |= right
    return marked


class _Legend:
    """Lay out swatches, names and areas in rows of one height; `size` is of letters, in pixels."""

    def __init__(self, areas: list[Area], size: int) -> None:
        self.areas, self.size, self.row = areas, size, round(1.6 * size)
        self.names = [self._text(area) for area in areas]
        self.name_width = max(self._width(name) for name in self.names)
        self.column = self.row * 2 + self.name_width + self._width("88.8 %") + size

    def draw(self, columns: int, rows: int) -> PIL.Image.Image:
        """Draw as many classes as there is room for, and say how many more there are."""
        fits = columns * rows
        shown = len(self.areas) if len(self.areas) <= fits else fits - 1
        used = math.ceil(min(len(self.areas), fits) / columns)
        panel = PIL.Image.new("RGB", (self.column * columns, self.row * used + self.row), "white")
        draw = PIL.ImageDraw.Draw(panel)
        for index, (area, name) in enumerate(zip(self.areas[:shown], self.names, strict=False)):
            self._entry(
                draw,
                index // used * self.column + self.row // 2,
                index % used * self.row + self.row // 2,
                area,
                name,
            )
        if shown < len(self.areas):
            left, top = (
                shown // used * self.column + self.row // 2,
                shown % used * self.row + self.row // 2,
            )
            self._write(draw, left, top, f"and {len(self.areas) - shown} more", "dimgrey")
        return panel

    def _entry(
        self, draw: PIL.ImageDraw.ImageDraw, left: int, top: int, area: Area, name: str
    ) -> None:
        swatch = (left, top + self.row // 8, left + self.size, top + self.row // 8 + self.size)
        draw.rectangle(swatch, fill=area.colour, outline="dimgrey")
        self._write(draw, left + self.row, top, name, "black")
        right = left + self.column - self.row // 2 - self.size // 2
        self._write(draw, right - self._width(area.percent), top, area.percent, "dimgrey")

    def _write(
        self, draw: PIL.ImageDraw.ImageDraw, left: int, top: int, text: str, colour: str
    ) -> None:
        draw.text(
            (left, top + self.row // 2),
            text,
            fill=colour,
            font=font_for(text, self.size),
            anchor="lm",
        )

    def _text(self, area: Area) -> str:
        """Return the name, shortened if long; its number where no font has its letters."""
        if font_for(area.name, self.size) is None:
            return f"class {area.number}"
        name = area.name
        while self._width(name) > 16 * self.size:
            name = f"{name.rstrip('…')[:-1]}…"
        return name

    def _width(self, text: str) -> int:
        font = font_for(text, self.size)
        return math.ceil(font.getlength(text)) if font else 0
