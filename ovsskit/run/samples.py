"""Provide the packaged sample scenes for runs without images, and score runs on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import PIL.Image

from ovsskit._lazy import Int, numpy, torch
from ovsskit.datasets.colours import distinct_colours
from ovsskit.datasets.dataset import VOID, Dataset, Facts, Item
from ovsskit.embedded import CLASSES, NOUNS, SampleScene, sample_scenes
from ovsskit.engine.images import read_image
from ovsskit.engine.rendering import AS_USUAL, Reading
from ovsskit.engine.values import Image, Vocabulary
from ovsskit.ops.metrics import class_iou, confusion


def sample_images() -> list[Path]:
    """Return the images of the sample scenes, in order."""
    return [scene.image for scene in sample_scenes()]


def sample_score(masks: Sequence[Path], vocabulary: Vocabulary) -> float | None:
    """Return the mean IoU, from 0 to 1, of masks of the sample scenes against the true ones.

    Where things alone were looked for, the rest is background and counts as a class. Where a stuff
    was, too, there is no background, and places of what was not looked for are left out. None if a
    class was looked for that the true masks do not know, or a mask is of no sample scene.
    """
    scenes = {scene.name: scene for scene in sample_scenes()}
    if (
        not set(vocabulary.names) <= set(CLASSES)
        or not masks
        or any(mask.stem not in scenes for mask in masks)
    ):
        return None
    has_background = set(vocabulary.names) <= set(NOUNS)
    number_of = dict(zip(vocabulary.names, vocabulary.ids[1:], strict=True))
    table = numpy.array([number_of.get(name, 0 if has_background else -1) for name in CLASSES])
    count = max(vocabulary.ids) + 1
    total = torch.zeros((count, count), dtype=torch.int64)
    for mask in masks:
        truth = table[_places(scenes[mask.stem])]
        with mask.open("rb") as file:
            found = numpy.asarray(PIL.Image.open(file)).astype(int)
        total += confusion(torch.from_numpy(truth), torch.from_numpy(found), count)
    return float(class_iou(total)[0 if has_background else 1 :].nanmean())


class SampleItem(Item):
    """One sample scene; `table` maps its classes, things and stuffs together, to numbers."""

    __slots__ = ("_scene", "_table")

    def __init__(self, scene: SampleScene, table: Int[numpy.ndarray, " classes"]) -> None:
        self._scene, self._table = scene, table

    @property
    def name(self) -> str:
        """Return the name of the scene."""
        return self._scene.name

    @property
    def where(self) -> str:
        """Return the path of the image."""
        return str(self._scene.image)

    def read_image(self, reading: Reading = AS_USUAL) -> Image:
        """Read the image."""
        return read_image(self._scene.image, reading)

    def read_truth(self) -> Int[numpy.ndarray, "h w"]:
        """Read the true classes."""
        truth: numpy.ndarray = self._table[_places(self._scene)]
        return truth


def sample_dataset(vocabulary: Vocabulary) -> Dataset:
    """Return the sample scenes with their true masks, for the classes that are looked for.

    Where things alone are, the rest is background; else places of other classes count nowhere.
    """
    only_things = set(vocabulary.names) <= set(NOUNS)
    known = [name for name in CLASSES if name in vocabulary.names]
    names = ("background", *known) if only_things else tuple(known)
    rest = 0 if only_things else VOID
    table = numpy.array([names.index(name) if name in names else rest for name in CLASSES])
    colours = distinct_colours(len(names))
    facts = Facts("samples", "Sample scenes", names, colours, 0 if only_things else None)
    items = [SampleItem(scene, table) for scene in sample_scenes()]
    return Dataset(facts, "", "package", items)


def _places(scene: SampleScene) -> Int[numpy.ndarray, "h w"]:
    """Return every pixel's class as its place in the list of all, things and stuffs together."""
    things, stuffs = (
        numpy.asarray(PIL.Image.open(path)).astype(int) for path in (scene.mask, scene.stuff_mask)
    )
    found: numpy.ndarray = numpy.where(things > 0, things, stuffs + len(NOUNS)) - 1
    return found
