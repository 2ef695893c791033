"""Choose colours that a person can tell apart."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Sequence
from itertools import count, islice

Colour = tuple[int, int, int]
"""Red, green and blue, from 0 to 255."""

BLACK: Colour = (0, 0, 0)
GOLDEN_RATIO = 0.618033988749895
NEAREST = 16
"""How much two colours must differ in one of red, green and blue at least, if there is room."""
MOST_TRIED = 2048
"""How many colours are tried before they may be nearer to each other."""


def distinct_colours(number: int) -> tuple[Colour, ...]:
    """Return colours whose hues stay far apart."""
    return tuple(islice(_hues(), number))


def without_doubles(palette: Sequence[Colour], background: int | None) -> tuple[Colour, ...]:
    """Return a palette of which every colour stands for one class.

    Colours that stand twice are kept for the first class; black is kept for the background alone.
    """
    kept = {background: palette[background]} if background is not None else {}
    taken = {BLACK, *kept.values()}
    for index, colour in enumerate(palette):
        if index not in kept and colour not in taken:
            kept[index] = colour
            taken.add(colour)
    others = _others(taken)
    chosen = []
    for index in range(len(palette)):
        if index not in kept:
            kept[index] = next(others)
            taken.add(kept[index])
        chosen.append(kept[index])
    return tuple(chosen)


def _hues() -> Iterator[Colour]:
    for index in count():
        hue = (0.02 + index * GOLDEN_RATIO) % 1.0
        lightness, saturation = [(0.55, 0.9), (0.4, 0.75), (0.7, 0.8)][index // 8 % 3]
        red, green, blue = colorsys.hls_to_rgb(hue, lightness, saturation)
        yield round(red * 255), round(green * 255), round(blue * 255)


def _others(taken: set[Colour]) -> Iterator[Colour]:
    """Yield colours that differ from all that are taken, while it grows, as far as there is room.

    Where thousands of classes leave no room at all, colours come again.
    """
    least = NEAREST
    while least:
        for colour in islice(_hues(), MOST_TRIED):
            if _is_far(colour, taken, least):
                yield colour
        least //= 2
    yield from _hues()


def _is_far(colour: Colour, others: set[Colour], least: int) -> bool:
    red, green, blue = colour
    for its_red, its_green, its_blue in others:
        if max(abs(red - its_red), abs(green - its_green), abs(blue - its_blue)) < least:
            return False
    return True
