from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import PIL.Image

from ovsskit.engine.values import Vocabulary
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.output.masks import write_mask


def written(path: Path, labels: Any, vocabulary: Vocabulary) -> PIL.Image.Image:
    with path.open("wb") as file:
        write_mask(file, labels, vocabulary)
    return PIL.Image.open(path)


def test_a_mask_holds_numbers_and_shows_colours(tmp_path: Path) -> None:
    vocabulary = make_vocabulary(["dog", "cat"], [7, 255])
    labels = numpy.array([[0, 7, 255], [7, 7, 0]])
    image = written(tmp_path / "one.png", labels, vocabulary)
    assert image.mode == "P"
    assert numpy.array_equal(numpy.asarray(image), labels)
    assert tuple(image.convert("RGB").getpixel((1, 0))) == vocabulary.colours[1]


def test_numbers_above_255_take_16_bits(tmp_path: Path) -> None:
    vocabulary = make_vocabulary([f"class {index}" for index in range(300)])
    labels = numpy.arange(301)[None]
    assert numpy.array_equal(written(tmp_path / "one.png", labels, vocabulary), labels)
