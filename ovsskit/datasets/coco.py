"""Read a split whose true masks are painted from annotation files in COCO's form."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ovsskit._lazy import Int, numpy
from ovsskit.datasets.annotations import Annotations
from ovsskit.datasets.dataset import Facts, Item
from ovsskit.datasets.facts import facts_of
from ovsskit.datasets.finding import Absent, best_pattern, check_all_there, fill
from ovsskit.datasets.layout import Layout, Split
from ovsskit.datasets.numbering import Numbering, numbering_of
from ovsskit.engine.images import read_image
from ovsskit.engine.rendering import AS_USUAL, Reading
from ovsskit.engine.values import Image
from ovsskit.errors import BadFile, first_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Painting:
    """Know how the masks of a split are painted: the files one after another.

    The segment that is painted first stays on top, or with `over` the last.
    """

    images: str
    annotations: tuple[Annotations, ...]
    numbering: Numbering
    over: bool = False


class PaintedItem(Item):
    """One image of annotation files."""

    __slots__ = ("_number", "_painting")

    def __init__(self, painting: Painting, number: int) -> None:
        self._painting, self._number = painting, number

    @property
    def name(self) -> str:
        """Return what its file is called, without its ending."""
        return self._painting.annotations[0].images[self._number].stem

    @property
    def where(self) -> str:
        """Return the path of the image."""
        return self._painting.images.replace("{id}", self.name)

    def read_image(self, reading: Reading = AS_USUAL) -> Image:
        """Read the image."""
        return read_image(self.where, reading)

    def read_truth(self) -> Int[numpy.ndarray, "h w"]:
        """Paint the true mask, of the size that the annotations say."""
        files = self._painting.annotations
        size = files[0].images[self._number]
        canvas = numpy.zeros((size.height, size.width), "int32")
        for one in files:
            one.paint(self._number, canvas, over=self._painting.over)
        where = f"{files[-1].path}, image {self._number}"
        return self._painting.numbering.translate(canvas, where)


def open_coco(
    facts: Facts, layout: Layout, folder: Path, split: Split
) -> tuple[list[Item], tuple[str, ...]]:
    """Return the images of annotation files, each of which is of one split, and those files.

    Raises:
        Absent: the layout's files are not in this folder.
        MissingExtra: pycocotools is not installed.
        BadFile: a file is broken or of another split, or images are missing.
    """
    paths, pattern, known = _find(layout, folder, split)
    files = tuple(Annotations(path) for path in paths)
    for one in files:
        _check_categories(facts, layout, one)
        if {*one.images} != {*files[0].images}:
            what = f"The file lists other images than {files[0].path.name}: "
            what += f"{len({*one.images} ^ {*files[0].images})} are in one of them only."
            raise BadFile(what, fix="Use files of one year and split.", where=one.where)
    for one in files[1:]:
        one.images.clear()  # the first file knows them
    painting = Painting(str(folder / pattern), files, numbering_of(facts, layout))
    items = _items(painting, [*files[0].images], folder, pattern, known, split)
    if surplus := len(known) - len(items):
        log.warning("%s: %d images have no annotations and are left out", folder, surplus)
    return items, tuple(map(str, paths))


def open_detail(
    facts: Facts, layout: Layout, folder: Path, split: Split
) -> tuple[list[Item], tuple[str, ...]]:
    """Return the images of a split in the one annotation file of PASCAL in Detail, and that file.

    Its pixels have one category each; were segments to overlap, the last would count, as in the
    scripts that mmsegmentation's masks come from.

    Raises:
        Absent: the layout's files are not in this folder.
        MissingExtra: pycocotools is not installed.
        BadFile: the file is broken, or images are missing.
    """
    paths, pattern, known = _find(layout, folder, split)
    file = Annotations(paths[0], "annos_segmentation", "image_id")
    numbers = [number for number, image in file.images.items() if image.phase == split.name]
    if not numbers:
        phases = sorted({image.phase for image in file.images.values()})
        what = f"The file of annotations has no image of the split {split.name}."
        raise BadFile(what, there=f"Its phases: {first_of(phases)}", where=file.where)
    painting = Painting(str(folder / pattern), (file,), numbering_of(facts, layout), over=True)
    return _items(painting, numbers, folder, pattern, known, split), tuple(map(str, paths))


def _find(layout: Layout, folder: Path, split: Split) -> tuple[list[Path], str, frozenset[str]]:
    """Return the annotation files, and the pattern of the images with the ids that are there."""
    there: list[str] = []
    for name in (fill(one, split) for one in layout.annotations):
        if not (folder / name).is_file():
            raise Absent(there, name)
        there.append(name)
    paths = [folder / name for name in there]
    return paths, *best_pattern(layout.images, layout, folder, split, None, there)


def _items(
    painting: Painting,
    numbers: Sequence[int],
    folder: Path,
    pattern: str,
    known: frozenset[str],
    split: Split,
) -> list[Item]:
    """Return an item for each of these images, in the order of their names.

    Raises:
        BadFile: files of images are missing, or two images have one name.
    """
    file = painting.annotations[0]
    stems = {number: file.images[number].stem for number in numbers}
    twice = [stem for stem, times in Counter(stems.values()).items() if times > 1]
    if twice:
        what = f"Images of the file have one name: {first_of(twice, most=3)}."
        raise BadFile(what, where=file.where)
    if not known & {*stems.values()}:
        there = f"It lists {min(stems.values())}, and the folder holds {min(known)}."
        raise BadFile(
            "None of the images that the file of annotations lists is in the folder.",
            there=there,
            fix="Use annotations of the same year and split as the images.",
            where=file.where,
        )
    check_all_there(folder, split, {pattern: known}, sorted(stems.values()))
    return [PaintedItem(painting, number) for number in sorted(stems, key=stems.__getitem__)]


def _check_categories(facts: Facts, layout: Layout, file: Annotations) -> None:
    """See that the numbers of a file are those of the data set: conversions may count anew.

    Raises:
        BadFile: a number stands for another class.
    """
    fine = facts_of(facts.coarse_of) if facts.coarse_of else facts
    classes = numbering_of(fine, layout).classes
    for number, name in file.categories.items():
        label = classes.get(number, -1)
        if label not in (-1, fine.background) and fine.classes[label] != name:
            what = f"The category {number} is `{name}` in this file, and "
            what += f"`{fine.classes[label]}` in the data set's own."
            raise BadFile(what, fix="Use the annotations as distributed.", where=file.where)
