"""Read true masks, and refuse those that cannot be the masks of these images and classes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import PIL.Image

from ovsskit._lazy import Int, numpy
from ovsskit.datasets.masks import Fault, FaultyMask, read_mask
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadFile, Place, first_of

IGNORED = 255
"""The number of pixels in a true mask that count nowhere, as in VOC and ADE20K, unless it is a
class's."""
SIDEWAYS = frozenset({5, 6, 7, 8})
"""EXIF orientations in which height and width are exchanged."""
NUMBERS = (
    "The pixel values of a mask are the numbers of the classes, 0 for the background, "
    "255 for what does not count."
)

log = logging.getLogger(__name__)


def find_masks(folder: Path, images: Sequence[Path], where: Place) -> dict[Path, Path]:
    """Return the mask of every image, `<image>.png` in the folder.

    Raises:
        BadFile: an image has no mask, or two images would share one.
    """
    masks = {path: folder / f"{path.stem}.png" for path in images}
    missing = [mask for mask in masks.values() if not mask.is_file()]
    if missing:
        there = sorted(path.name for path in folder.iterdir() if path.is_file())
        what = f"{len(missing)} of {len(masks)} images have no mask, such as {missing[0].name}."
        stem = missing[0].stem.casefold()
        near = next((name for name in there if stem in name.casefold()), "")
        fix = f"Did you mean `{near}`? " if near else ""
        fix += "Give the masks the names of their images."
        listed = f"The folder holds: {', '.join(there[:3]) or 'nothing'}"
        raise BadFile(what, there=listed, fix=fix, where=where)
    owners: dict[Path, Path] = {}
    for image, mask in masks.items():
        other = owners.setdefault(mask, image)
        if other != image:
            what = f"{other} and {image} would share the mask {mask.name}."
            raise BadFile(what, fix="Give images different names.", where=where)
    return masks


def check_masks(masks: Mapping[Path, Path], vocabulary: Vocabulary) -> None:
    """See that masks have their images' sizes and the classes' numbers; empty ones are noted.

    Raises:
        BadFile: some are not; the first is named, and how many are like it.
    """
    faults: dict[Path, Fault] = {}
    held: dict[Path, set[int]] = {}
    for image, mask in masks.items():
        try:
            numbers = read_once(mask)
        except FaultyMask as error:
            faults[mask] = error.fault
            continue
        held[mask] = {*numpy.unique(numbers).tolist()}
        fault = _fault_of_size(image, numbers) or _fault_of_numbers(held[mask], vocabulary)
        if fault is not None:
            faults[mask] = fault
    if faults:
        mask, fault = next(iter(faults.items()))
        alike = sum(one.many == fault.many for one in faults.values())
        raise FaultyMask(fault, mask, alike, len(masks))
    ids = {*vocabulary.ids[1:]}
    empty = [mask for mask, numbers in held.items() if not numbers & ids]
    if empty and len(empty) == len(masks):
        found = sorted(set().union(*held.values()))
        there = f"They hold {_few(found)}; the numbers of the classes are {_few(sorted(ids))}."
        what = f"None of the {len(masks)} masks shows one of the classes."
        raise BadFile(what, there=there, fix=NUMBERS, where=Place(str(empty[0].parent)))
    if empty:
        text = "%d of %d masks show none of the classes, such as %s"
        log.warning(text, len(empty), len(masks), empty[0].name)


def read_once(path: Path) -> Int[numpy.ndarray, "h w"]:
    """Return the numbers of a mask, which is read once for each time that it was changed.

    Raises:
        FaultyMask: it is coloured, or cannot be read.
    """
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1024)
def _read(path: Path, changed: int) -> Int[numpy.ndarray, "h w"]:
    return read_mask(path)


def _fault_of_size(image: Path, numbers: Int[numpy.ndarray, "h w"]) -> Fault | None:
    try:
        with image.open("rb") as file, PIL.Image.open(file) as opened:
            size = opened.size
            if opened.getexif().get(0x0112) in SIDEWAYS:
                size = size[::-1]
    except Exception:  # what cannot be read is told where it is read
        return None
    mine = numbers.shape[::-1]
    if mine == size:
        return None
    facts = f"This one is {mine[0]} x {mine[1]} pixels, but {image.name} {size[0]} x {size[1]}."
    if mine == size[::-1]:
        turned = "transposed: height and width are swapped"
        fix = "Transpose them, or rotate them as the image's EXIF tag says."
        return Fault(f"is {turned}", f"are {turned}", facts, fix)
    fix = "Resize them to the size of the images by nearest neighbour, so that no numbers mix."
    other = "another size than"
    return Fault(f"has {other} its image", f"have {other} their images", facts, fix)


def _fault_of_numbers(held: set[int], vocabulary: Vocabulary) -> Fault | None:
    strange = sorted(held - {0, IGNORED, *vocabulary.ids})
    if not strange:
        return None
    ids = vocabulary.ids[1:]
    facts = f"This one holds {_few(strange)}; the numbers of the classes are {_few(ids)}."
    fix = f"{NUMBERS} A recipe's [vocabulary] gives classes other numbers: ids = [...]."
    return Fault("holds numbers of no class", "hold numbers of no class", facts, fix)


def _few(numbers: Sequence[int]) -> str:
    return first_of(list(map(str, numbers)), most=8)
