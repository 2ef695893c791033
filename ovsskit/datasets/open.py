"""Find a data set on disk, in whichever of its layouts it lies there."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ovsskit.datasets.coco import open_coco, open_detail
from ovsskit.datasets.dataset import Dataset, Facts
from ovsskit.datasets.facts import facts_of
from ovsskit.datasets.files import open_masks
from ovsskit.datasets.finding import Absent, fill
from ovsskit.datasets.layout import Layout, Split
from ovsskit.datasets.masks import masks_here
from ovsskit.errors import NoDataset, Place, did_you_mean, first_of

log = logging.getLogger(__name__)

READERS = {"masks": open_masks, "coco": open_coco, "detail": open_detail}
"""How the images of a split are found, by what a layout says."""


def open_dataset(
    name: str, root: Path | str, split: str = "", layout: str | tuple[str, ...] = ()
) -> Dataset:
    """Return a split of a data set whose files lie below a folder; without a name, the evaluated.

    The folder is the data set's own, or one above it. Of several layouts the first counts whose
    files are there, in the order in which the facts give them, unless one or some are named.

    Raises:
        NoDataset: the data set, split or layout is unknown, or no layout has its files here.
        MissingExtra: its files need a package that is not installed.
        BadFile: files of the split are missing or broken, or the folder is on no disk of this
            machine.
    """
    facts, root = facts_of(name), masks_here(root)
    wanted = _split_of(facts, split)
    known = [one.name for one in facts.layouts]
    named = [one for one in ((layout,) if isinstance(layout, str) else layout) if one]
    unknown = next((one for one in named if one not in known), None)
    if unknown is not None:
        raise NoDataset(
            f"The data set {facts.name} has no layout `{unknown}`.",
            there=f"Its layouts: {first_of(known)}",
            fix=did_you_mean(unknown, known),
        )
    layouts = [one for one in facts.layouts if one.name in (named or known)]
    if not root.is_dir():
        raise NoDataset("There is no such folder.", where=Place(str(root)))
    nearest: tuple[Layout, Path, Absent] | None = None
    for one in layouts:
        for folder in _folders(root, one):
            try:
                items, files = READERS[one.reader](facts, one, folder, wanted)
            except Absent as absent:
                if nearest is None or len(absent.there) > len(nearest[2].there):
                    nearest = one, folder, absent
                continue
            if not one.part and wanted.images not in (0, len(items)):
                text = "%s: %d images of the split %s are here, and %d are published"
                log.warning(text, folder, len(items), wanted.name, wanted.images)
            return Dataset(facts, wanted.name, one.name, items, files)
    raise _nothing(facts, layouts, root, wanted, nearest)


def _split_of(facts: Facts, name: str) -> Split:
    """Return a split by name; an unknown one may still have a list of its images."""
    if not name:
        return facts.evaluated
    return next((one for one in facts.splits if one.name == name), Split(name))


def _folders(root: Path, layout: Layout) -> Iterator[Path]:
    """Yield the folders in which the files of a layout may lie, from the root down."""
    yield root
    parts = PurePosixPath(layout.below).parts
    for first in reversed(range(len(parts))):
        folder = root.joinpath(*parts[first:])
        if folder.is_dir():
            yield folder


def _nothing(
    facts: Facts,
    layouts: list[Layout],
    root: Path,
    split: Split,
    nearest: tuple[Layout, Path, Absent] | None,
) -> NoDataset:
    where = Place(str(root))
    known = [one.name for one in facts.splits]
    if split.name not in known:
        what = f"The data set {facts.name} has no split `{split.name}` here."
        there = f"Its splits: {first_of(known)}"
        return NoDataset(what, there=there, fix=did_you_mean(split.name, known), where=where)
    if nearest is not None and nearest[2].there:
        layout, folder, absent = nearest
        what = f"The data set {facts.name} is incomplete: {absent.missing} is missing."
        there = f"Found: {first_of(absent.there)}. These belong to its layout {layout.name}."
        fix = "Fetch what is missing, or name the folder that holds all of it."
        return NoDataset(what, there=there, fix=fix, where=Place(str(folder)))
    held = sorted(path.name for path in root.iterdir())
    looked = []
    for layout in layouts:
        patterns = " and ".join(fill(group[0], split) for group in layout.patterns)
        looked.append(f"{layout.name}: {patterns}, here or in {layout.below}.")
    return NoDataset(
        f"No files of the data set {facts.name} (split {split.name}) are here.",
        there=f"The folder holds: {first_of(held, most=6)}.",
        fix=f"Looked for: {' '.join(looked)}",
        where=where,
    )
