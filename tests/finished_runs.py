"""Finished runs whose masks are known, written as `ovsskit run` writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import torch

from ovsskit.engine.values import Probabilities, Vocabulary
from ovsskit.files.image_names import name_images
from ovsskit.files.own.written import Written
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.output.folder import OutputFolder
from ovsskit.run.output.gallery import write_classes
from ovsskit.run.output.masks import write_mask
from ovsskit.run.output.record import Costs, ImageRecord, stamp_of
from ovsskit.run.output.save import write_scores

NAMES = ("dog", "cat", "grass")
MANY = tuple(f"class {number}" for number in range(1, 301))


def block_mask(*rows: Sequence[int], times: int = 3) -> numpy.ndarray:
    """Return a mask in which every number is a block of `times` x `times` pixels."""
    return numpy.array(rows, "int32").repeat(times, 0).repeat(times, 1)


def one_pixel(height: int = 7, width: int = 11) -> numpy.ndarray:
    """Return a mask with a pixel of the first class in a corner, and one of the second inside."""
    mask = numpy.zeros((height, width), "int32")
    mask[0, 0], mask[3, 5] = 1, 2
    return mask


def holey() -> numpy.ndarray:
    """Return a ring of the first class around the second and a pixel of its own."""
    mask = numpy.zeros((12, 15), "int32")
    mask[1:11, 2:13] = 1
    mask[3:9, 4:11] = 2
    mask[5, 6] = 1
    return mask


def many_classes() -> numpy.ndarray:
    """Return a mask with 300 classes, the last with the number 300."""
    return numpy.arange(1, 301, dtype="int32").reshape(15, 20).repeat(2, 0)


CASES: Mapping[str, tuple[numpy.ndarray, tuple[str, ...]]] = {
    "several classes": (block_mask([0, 1, 2], [3, 3, 1]), NAMES),
    "one class": (block_mask([1, 1]), ("dog",)),
    "empty": (numpy.zeros((5, 8), "int32"), NAMES),
    "one pixel": (one_pixel(), NAMES),
    "one by one": (numpy.array([[2]]), NAMES),
    "holes": (holey(), NAMES),
}
"""Masks, and the classes that the run looked for."""


def finish_run(
    folder: Path,
    masks: Mapping[str, numpy.ndarray],
    names: Any = NAMES,
    *,
    confidence: Mapping[str, numpy.ndarray] | None = None,
    scores: Mapping[str, numpy.ndarray] | None = None,
    images: Sequence[Path] = (),
) -> Path:
    """Write a run, with images beside it in `photos/` unless they are given; return its folder.

    Confidences are from 0 to 1; scores are probabilities of the classes, `class h w`.
    """
    vocabulary = make_vocabulary(names)
    paths = list(images) or _paint(folder.parent / "photos", masks)
    identity = {"stages": [], "models": {}, "classes": _plain(vocabulary)}
    output = OutputFolder(folder, identity)
    try:
        names_of = name_images(paths, output.records.name_of, output.records)
        for name, path, mask in zip(names_of, paths, masks.values(), strict=True):
            record = ImageRecord(name, str(path.absolute()), stamp=stamp_of(path))
            output.records[name] = record
            files = {f"masks/{name}.png": _mask(output, name, mask, vocabulary)}
            ends = None
            if confidence is not None:
                ends = (0.0, 1.0)
                grey = (confidence[name] * 65535).round().astype("uint16")
                image = PIL.Image.fromarray(grey)
                kept = f"confidence/{name}.png"
                files[kept] = output.write(kept, partial(image.save, format="PNG"))
            if scores is not None:
                kept, maps = f"scores/{name}.npz", torch.from_numpy(scores[name])
                value = Probabilities(maps, tuple(range(1, len(maps) + 1)))
                files[kept] = output.write(
                    kept, partial(write_scores, scores=value, vocabulary=vocabulary)
                )
            height, width = mask.shape
            done = replace(record, state="done", size=(width, height), files=files, confidence=ends)
            output.finish(done)
        output.save(Costs(), {"classes.json": write_classes(output, vocabulary)})
    finally:
        output.close()
    return folder


def tree(folder: Path) -> set[str]:
    """Return the paths of all files in a folder, but not that of its lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix() for path in files}


def _paint(folder: Path, masks: Mapping[str, numpy.ndarray]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{name}.png" for name in masks]
    for path, mask in zip(paths, masks.values(), strict=True):
        PIL.Image.new("L", mask.shape[::-1], 90).save(path)
    return paths


def _mask(output: OutputFolder, name: str, mask: numpy.ndarray, vocabulary: Vocabulary) -> Written:
    write = partial(write_mask, labels=mask, vocabulary=vocabulary)
    return output.write(f"masks/{name}.png", write)


def _plain(vocabulary: Vocabulary) -> dict[str, Any]:
    return {
        "names": list(vocabulary.names),
        "ids": list(vocabulary.ids),
        "background": vocabulary.background,
        "synonyms": [list(words) for words in vocabulary.synonyms],
        "background_words": list(vocabulary.background_words),
    }
