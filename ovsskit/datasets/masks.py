"""Read the numbers that a mask holds, from an image or from a MATLAB file."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import PIL.Image

from ovsskit._lazy import Int, UInt8, numpy
from ovsskit.errors import BadFile, Place
from ovsskit.files.remote import address_of

FORMATS = ("PNG", "TIFF", "BMP", "GIF")
"""What a mask may be stored as: no format that changes numbers."""
FIX = "Save masks as indexed or grey PNG, whose pixel values are the numbers of the classes."


@dataclass(frozen=True)
class Fault:
    """Say what is wrong with a mask (`one`) and those like it, with its facts and a remedy."""

    one: str
    many: str
    facts: str
    fix: str


class FaultyMask(BadFile):
    """Masks cannot be read, or do not hold the numbers of classes."""

    def __init__(self, fault: Fault, mask: Path | str, alike: int = 1, masks: int = 1) -> None:
        """Name one mask, and of several how many are like it."""
        what = f"{alike} of {masks} masks {fault.many}." if masks > 1 else f"The mask {fault.one}."
        super().__init__(what, there=fault.facts, fix=fault.fix, where=Place(str(mask)))
        self.fault = fault


def masks_here(folder: Path | str) -> Path:
    """Return a folder of true masks, or of a data set that holds some.

    Raises:
        BadFile: it is not on this machine.
    """
    if address := address_of(Path(folder)):
        fix = "Copy them to this machine, and name the copies."
        raise BadFile("True masks are read from this machine only.", fix=fix, where=Place(address))
    return Path(folder).expanduser()


def read_mask(source: Path | BytesIO, where: str = "") -> Int[numpy.ndarray, "h w"]:
    """Return the numbers of a mask: an indexed or grey image, or grey stored as colours.

    `where` says where an open file comes from, for messages.

    Raises:
        FaultyMask: it is coloured, or cannot be read.
    """
    path = where or str(source)
    numbers, mode = _open(source, path)
    if numbers.ndim == 3:
        colours = numbers if mode == "RGB" else numbers[..., :-1]
        is_grey = mode in ("RGB", "RGBA", "LA") and (colours == colours[..., :1]).all()
        if not is_grey or (mode != "RGB" and (numbers[..., -1] != 255).any()):
            facts = f"Its mode is {mode}."
            raise FaultyMask(Fault("is coloured", "are coloured", facts, FIX), path)
        numbers = colours[..., 0]
    if numbers.dtype.kind == "f" or numbers.min(initial=0) < 0:
        facts = f"Its mode is {mode}."
        other = "numbers that are not whole"
        raise FaultyMask(Fault(f"holds {other}", f"hold {other}", facts, FIX), path)
    return numbers.astype("int16" if numbers.max(initial=0) < 1 << 15 else "int32")


def read_colours(source: Path | BytesIO, where: str = "") -> UInt8[numpy.ndarray, "h w 3"]:
    """Return the colours of a mask: an image of mode RGB, or indexed with a palette.

    `where` says where an open file comes from, for messages.

    Raises:
        FaultyMask: it is see-through or has more than 8 bits, or cannot be read.
    """
    path = where or str(source)
    colours, mode = _open(source, path, indices=False)
    if mode == "RGBA" and (colours[..., 3] == 255).all():
        colours, mode = colours[..., :3], "RGB"
    if mode != "RGB":
        fix = "Save masks as RGB or indexed PNG in the colours of the class file."
        facts = f"Its mode is {mode}."
        raise FaultyMask(Fault("has no plain colours", "have no plain colours", facts, fix), path)
    return colours


def _open(source: Path | BytesIO, where: str, *, indices: bool = True) -> tuple[numpy.ndarray, str]:
    """Return what an image holds, and its mode; palettes become colours if indices are not meant.

    Raises:
        FaultyMask: it cannot be read.
    """
    try:
        with PIL.Image.open(source, formats=FORMATS) as opened:
            mode = opened.mode
            if mode == "1":  # of one bit, white is 255 as in any black and white image
                return numpy.asarray(opened.convert("L")), mode
            if mode in ("P", "L") and not indices:
                return numpy.asarray(opened.convert("RGB")), "RGB"
            return numpy.asarray(opened), mode
    except Exception as error:  # decoders of broken files raise whatever they stumble over
        there = " ".join(str(error).split())[:200]
        raise FaultyMask(Fault("cannot be read", "cannot be read", there, FIX), where) from error
