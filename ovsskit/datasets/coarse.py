"""Read the true masks of a data set in coarser classes, by a mapping that has a name or a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ovsskit._lazy import Int, numpy
from ovsskit.datasets.coarse_file import FORM, read_coarse_file
from ovsskit.datasets.dataset import VOID, Dataset, Facts, Item
from ovsskit.datasets.facts import dataset_names, facts_of
from ovsskit.engine.rendering import AS_USUAL, Reading
from ovsskit.engine.values import Image
from ovsskit.errors import BadClasses, Place, did_you_mean, first_of


@dataclass(frozen=True)
class CoarseItem(Item):
    """Hold an image whose true mask is read in coarser classes: `coarse` has one for each fine."""

    fine: Item
    coarse: tuple[int, ...]

    @property
    def name(self) -> str:
        """Return the name of the image."""
        return self.fine.name

    @property
    def where(self) -> str:
        """Return where the image lies."""
        return self.fine.where

    def read_image(self, reading: Reading = AS_USUAL) -> Image:
        """Read the image."""
        return self.fine.read_image(reading)

    def read_truth(self) -> Int[numpy.ndarray, "h w"]:
        """Read the true mask: at every pixel the number of a coarse class, or VOID."""
        table = numpy.array([*self.coarse, VOID])  # VOID is -1, the last
        found: numpy.ndarray = table[self.fine.read_truth()]
        return found


def coarsen(dataset: Dataset, mapping: str) -> Dataset:
    """Return a data set in coarser classes.

    `mapping` names a data set whose classes are groups of this one's, or a file.

    Raises:
        BadClasses: there is neither, it is not a mapping of these classes, or it has an error.
    """
    fine, files = dataset.facts, dataset.files
    if Path(mapping).is_file():
        facts, files = read_coarse_file(Path(mapping), fine), (*files, mapping)
    else:
        facts = _by_name(fine, mapping)
    items = [CoarseItem(one, facts.coarse) for one in dataset.items]
    return Dataset(facts, dataset.split, dataset.layout, items, files)


def _by_name(fine: Facts, name: str) -> Facts:
    known = [one for one in dataset_names() if facts_of(one).coarse_of == fine.name]
    wanted = name.casefold().replace("-", "_")
    for one in known:
        if wanted in (one, *facts_of(one).aliases):
            return facts_of(one)
    there = f"Known for {fine.title}: {first_of(known)}." if known else ""
    what = f"`{name}` is neither a file nor a mapping of {fine.title}'s classes that is known."
    raise BadClasses(
        what, there=there, fix=did_you_mean(wanted, known) or FORM, where=Place("--coarse")
    )
