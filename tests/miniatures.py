"""Write data sets of a few images in the very formats in which they are distributed.

A scene is an image (height x width x 3 bytes) and, of the same size, what its file of true masks
holds: class numbers of the data set, or VOID. Names are made as the data set makes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy
import PIL.Image

from ovsskit.datasets.dataset import VOID
from ovsskit.datasets.facts import facts_of

Scene = tuple[numpy.ndarray, numpy.ndarray]


def voc_name(index: int) -> str:
    return f"2007_{index:06d}"


def ade_name(index: int) -> str:
    return f"ADE_val_{index + 1:08d}"


def write_voc(root: Path, scenes: Sequence[Scene], split: str = "val") -> Path:
    """Write VOC 2012 in its own layout; labels are those of `voc21`, borders VOID."""
    folder = root / "VOCdevkit" / "VOC2012"
    colours = [*facts_of("voc21").palette]
    for index, (image, labels) in enumerate(scenes):
        save_photo(folder / "JPEGImages" / f"{voc_name(index)}.jpg", image)
        numbers = numpy.where(labels == VOID, 255, labels)
        save_indexed(folder / "SegmentationClass" / f"{voc_name(index)}.png", numbers, colours)
    names = [voc_name(index) for index in range(len(scenes))]
    save_list(folder / "ImageSets" / "Segmentation" / f"{split}.txt", names)
    return folder


def write_ade(root: Path, scenes: Sequence[Scene]) -> Path:
    """Write the validation images of ADE20K: raw numbers are one above the class, 0 is VOID."""
    folder = root / "ADEChallengeData2016"
    for index, (image, labels) in enumerate(scenes):
        save_photo(folder / "images" / "validation" / f"{ade_name(index)}.jpg", image)
        path = folder / "annotations" / "validation" / f"{ade_name(index)}.png"
        save_grey(path, labels + 1)
    return folder


def save_photo(path: Path, image: numpy.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(image).save(path, quality=95)


def save_grey(path: Path, numbers: numpy.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(numbers.astype("uint8")).save(path)


def save_indexed(
    path: Path, numbers: numpy.ndarray, colours: Sequence[tuple[int, int, int]]
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = PIL.Image.frombytes("P", numbers.shape[::-1], numbers.astype("uint8").tobytes())
    made.putpalette(bytes(value for colour in colours for value in colour))
    made.save(path)


def save_list(path: Path, names: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
