"""Read a split of which every image has a file of its own with the true mask."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ovsskit._lazy import Int, numpy
from ovsskit.datasets.dataset import Facts, Item
from ovsskit.datasets.extra import need
from ovsskit.datasets.finding import Absent, best_pattern, check_all_there, fill, read_list
from ovsskit.datasets.layout import Layout, Split
from ovsskit.datasets.matlab import read_matlab
from ovsskit.datasets.numbering import Numbering, numbering_of
from ovsskit.datasets.truth import ReadTruth, read_numbers
from ovsskit.engine.images import read_image
from ovsskit.engine.rendering import AS_USUAL, Reading
from ovsskit.engine.values import Image
from ovsskit.files.remote import image_path

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MaskFiles:
    """Know where images and their masks lie; patterns hold `{id}`."""

    images: str
    masks: str
    read: ReadTruth

    def image(self, id: str) -> Path:
        """Return the file of an image."""
        return image_path(self.images.replace("{id}", id))

    def mask(self, id: str) -> Path:
        """Return the file of its mask."""
        return Path(self.masks.replace("{id}", id))


class MaskItem(Item):
    """One image with a file that holds its true mask."""

    __slots__ = ("_files", "_id")

    def __init__(self, files: MaskFiles, id: str) -> None:
        self._files, self._id = files, id

    @property
    def name(self) -> str:
        """Return what its file is called, without its ending."""
        return self._id

    @property
    def where(self) -> str:
        """Return the path of the image."""
        return str(self._files.image(self._id))

    def read_image(self, reading: Reading = AS_USUAL) -> Image:
        """Read the image."""
        return read_image(self._files.image(self._id), reading)

    def read_truth(self) -> Int[numpy.ndarray, "h w"]:
        """Read the true mask."""
        return self._files.read(self._files.mask(self._id))


def open_masks(
    facts: Facts, layout: Layout, folder: Path, split: Split
) -> tuple[list[Item], tuple[str, ...]]:
    """Return the images of a split, in the order of its list or by name, and that list.

    Raises:
        Absent: the layout's files are not in this folder.
        BadFile: the list is broken, or some of the images or masks are missing.
    """
    there: list[str] = []
    listed: list[str] | None = None
    if layout.lists:
        lists = [fill(one, split) for one in layout.lists]
        found = next((one for one in lists if (folder / one).is_file()), None)
        if found is None:
            raise Absent(there, lists[0])
        there.append(found)
        listed = read_list(folder / found, layout.id)
    described = tuple(str(folder / one) for one in there)
    images, known = best_pattern(layout.images, layout, folder, split, listed, there)
    wanted = sorted(known) if listed is None else listed
    masks, held = best_pattern(layout.masks, layout, folder, split, wanted, there)
    check_all_there(folder, split, {images: known, masks: held}, wanted)
    if listed is None and (surplus := len(held - known)):
        log.warning("%s: %d masks have no image here and are left out", folder, surplus)
    files = MaskFiles(str(folder / images), str(folder / masks), _truth(facts, layout))
    return [MaskItem(files, one) for one in wanted], described


def _truth(facts: Facts, layout: Layout) -> ReadTruth:
    numbering = numbering_of(facts, layout)
    if not layout.variable:
        return partial(read_numbers, numbering)
    need("scipy.io", "Reading MATLAB files")
    return partial(_read_variable, numbering, layout.variable)


def _read_variable(numbering: Numbering, variable: str, path: Path) -> Int[numpy.ndarray, "h w"]:
    return numbering.translate(read_matlab(path, variable), str(path))
