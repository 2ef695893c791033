"""Read a split of which every image has a file of its own with the true mask."""

from __future__ import annotations

import glob
import logging
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ovsskit._lazy import Int, numpy
from ovsskit.datasets.dataset import Facts, Item
from ovsskit.datasets.extra import need
from ovsskit.datasets.layout import Layout, Split
from ovsskit.datasets.matlab import read_matlab
from ovsskit.datasets.numbering import Numbering, numbering_of
from ovsskit.datasets.truth import ReadTruth, read_numbers
from ovsskit.engine.images import read_image
from ovsskit.engine.values import Image
from ovsskit.errors import BadFile, Place, first_of, shorten
from ovsskit.files.inputs import MAX_PIXELS
from ovsskit.files.reading import Unreadable, read_text

log = logging.getLogger(__name__)


class Absent(Exception):
    """Tell which files of a layout are there and which are not."""

    def __init__(self, there: Sequence[str], missing: str) -> None:
        super().__init__(missing)
        self.there, self.missing = there, missing


@dataclass(frozen=True)
class MaskFiles:
    """Know where images and their masks lie; patterns hold `{id}`."""

    images: str
    masks: str
    read: ReadTruth

    def image(self, id: str) -> Path:
        """Return the file of an image."""
        return Path(self.images.replace("{id}", id))

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

    def read_image(self, max_pixels: int = MAX_PIXELS) -> Image:
        """Read the image."""
        return read_image(self._files.image(self._id), max_pixels=max_pixels)

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


def check_all_there(
    folder: Path, split: Split, found: Mapping[str, frozenset[str]], wanted: Sequence[str]
) -> None:
    """See that a folder has all files of a split; `found` are the ids of each pattern's files.

    Raises:
        BadFile: some are missing.
    """
    missing = [
        pattern.replace("{id}", one)
        for pattern, ids in found.items()
        for one in wanted
        if one not in ids
    ]
    if missing:
        be = "are" if missing[1:] else "is"
        what = f"{len(missing)} images or masks of the split {split.name} {be} missing."
        there = f"Such as: {first_of(missing, most=3)}. The split has {len(wanted)} images."
        fix = "Fetch them again: what is found on a part is not what papers report."
        raise BadFile(what, there=there, fix=fix, where=Place(str(folder)))


def fill(pattern: str, split: Split) -> str:
    """Return a pattern with the split's name put in."""
    return pattern.replace("{split}", split.name).replace("{list}", split.list or split.name)


def find_ids(folder: Path, pattern: str, id: str) -> frozenset[str]:
    """Return the ids, which are of the form `id`, of the files in a folder that a pattern names."""
    stars = "/".join("*" * (id.count("/") + 1))
    head, tail = map(re.escape, pattern.split("{id}"))
    matches = re.compile(f"{head}({id}){tail}").fullmatch
    literal = glob.escape(pattern).replace("{id}", stars)
    names = glob.iglob(literal, root_dir=folder)  # noqa: PTH207 - texts take less than paths
    found = (matches(name.replace(os.sep, "/")) for name in names)
    return frozenset(one[1] for one in found if one)


def read_list(path: Path, id: str) -> list[str]:
    """Return the ids in a list of images, one on each line.

    Raises:
        BadFile: it cannot be read, is empty, names an image twice, or names what is not an image.
    """
    try:
        lines = read_text(path).splitlines()
    except Unreadable as error:
        what = f"The list of images cannot be read: {error}."
        raise BadFile(what, where=Place(str(path))) from error
    ids = []
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line:
            continue
        if not re.fullmatch(id, line):
            what = f"`{shorten(line)}` is not the name of an image of this data set."
            fix = "The list has one name on each line, without folder and ending."
            raise BadFile(what, fix=fix, where=Place(str(path), number))
        ids.append(line)
    if not ids:
        raise BadFile("The list of images is empty.", where=Place(str(path)))
    twice = [one for one, times in Counter(ids).items() if times > 1]
    if twice:
        what = f"The list names images more than once: {first_of(twice, most=3)}."
        raise BadFile(what, fix="Name each once.", where=Place(str(path)))
    return ids


def best_pattern(
    patterns: Sequence[str],
    layout: Layout,
    folder: Path,
    split: Split,
    wanted: Sequence[str] | None,
    there: list[str],
) -> tuple[str, frozenset[str]]:
    """Return the pattern that has most of the wanted files, and the ids of its files.

    The pattern is added to those that are `there`.

    Raises:
        Absent: no file matches.
    """
    filled = [fill(one, split) for one in patterns]
    found = [(one, find_ids(folder, one, layout.id)) for one in filled]
    chosen = max(found, key=lambda one: len(one[1] if wanted is None else one[1] & {*wanted}))
    if not chosen[1]:
        raise Absent(there, filled[0])
    there.append(chosen[0])
    return chosen


def _truth(facts: Facts, layout: Layout) -> ReadTruth:
    numbering = numbering_of(facts, layout)
    if not layout.variable:
        return partial(read_numbers, numbering)
    need("scipy.io", "Reading MATLAB files")
    return partial(_read_variable, numbering, layout.variable)


def _read_variable(numbering: Numbering, variable: str, path: Path) -> Int[numpy.ndarray, "h w"]:
    return numbering.translate(read_matlab(path, variable), str(path))
