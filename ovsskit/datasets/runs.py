"""Read masks that are stored as lengths of runs, as COCO stores them.

The library pycocotools reads them, too, but gives whatever stands in memory for pixels that the
runs do not reach.
"""

from __future__ import annotations

from collections.abc import Sequence

from ovsskit._lazy import Bool, numpy

CHARACTER, BITS, SIGN, MORE = 48, 5, 0x10, 0x20
"""The character for 0; the bits of a number in each; its sign, and whether more follow."""


def unpack_counts(text: str) -> list[int]:
    """Return the lengths of runs that a text holds.

    A character holds five bits of a number, the lowest first; a number is by what a run is longer
    than the last but one (COCO's `maskApi`).

    Raises:
        ValueError: the text ends within a number, or holds other characters.
    """
    counts: list[int] = []
    value = place = 0
    for character in text:
        bits = ord(character) - CHARACTER
        if not 0 <= bits < 2 * MORE:
            raise ValueError(f"`{character}` does not belong in runs")
        value |= (bits & MORE - 1) << place
        place += BITS
        if bits & MORE:
            continue
        if bits & SIGN:
            value -= 1 << place
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = place = 0
    if place:
        raise ValueError("the runs are cut off")
    return counts


def draw_runs(counts: Sequence[int], height: int, width: int) -> Bool[numpy.ndarray, "h w"]:
    """Return the mask of runs, which go down the columns and begin outside the segment.

    Raises:
        ValueError: the runs do not cover just this size.
    """
    if min(counts, default=0) < 0 or sum(counts) != height * width:
        raise ValueError(f"the runs do not cover {width} x {height} pixels")
    inside = numpy.arange(len(counts)) % 2 == 1
    return numpy.repeat(inside, counts).reshape(width, height).T
