"""What the bands of a raster mean."""

from __future__ import annotations

from typing import Any

from ovsskit._lazy import UInt8, numpy
from ovsskit.errors import BadImage

PALETTE, ALPHA = 2, 6
COLOURS, INKS = (3, 4, 5), (10, 11, 12, 13)
"""Values of GDAL's colour interpretation: red, green, blue; cyan, magenta, yellow, black."""


def choose_bands(dataset: Any, named: tuple[int, ...]) -> tuple[int, ...]:
    """Return the bands that are shown as red, green and blue, or the one that is shown as grey.

    Raises:
        BadImage: nothing says which they are, or there is no such band.
    """
    there = f"It has {dataset.count} band{'s' * (dataset.count > 1)}."
    if named:
        missing = next((band for band in named if band > dataset.count), None)
        if missing is not None:
            raise BadImage(f"It has no band {missing}.", there=there)
        return named
    meanings = [one.value for one in dataset.colorinterp]
    if set(COLOURS) <= set(meanings):
        return tuple(meanings.index(one) + 1 for one in COLOURS)
    if set(INKS) & set(meanings):
        raise BadImage("Its colours are ink colours.", fix="Save it as RGB.")
    shown = tuple(band for band, one in enumerate(meanings, 1) if one != ALPHA)
    if len(shown) in (1, 3):
        return shown
    what = "Nothing says which of its bands are red, green and blue."
    raise BadImage(what, there=there, fix="Name them: --bands 3,2,1, or one to be grey: --bands 1.")


def white_of(dataset: Any, band: int, kind: Any) -> float:
    """Return the most that the numbers of a band can be; 1 for floating point."""
    if kind.kind == "f":
        return 1.0
    bits = int(dataset.tags(band, ns="IMAGE_STRUCTURE").get("NBITS", 8 * kind.itemsize))
    return float(2.0 ** (bits - (kind.kind == "i")) - 1)


def palette_of(dataset: Any, band: int) -> UInt8[numpy.ndarray, "number 3"] | None:
    """Return the colour of every number of an indexed band; None for others."""
    if dataset.colorinterp[band - 1].value != PALETTE:
        return None
    table = numpy.zeros((65536, 3), "uint8")
    for number, colour in dataset.colormap(band).items():
        table[number] = colour[:3]
    return table
