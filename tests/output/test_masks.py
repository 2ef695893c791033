from __future__ import annotations

from pathlib import Path

import numpy
import PIL.Image

from ovsskit.output.masks import write_mask
from ovsskit.vocabulary import make_vocabulary


def test_a_mask_holds_numbers_and_shows_colours(tmp_path: Path) -> None:
    vocabulary = make_vocabulary(["dog", "cat"], [7, 255])
    labels = numpy.array([[0, 7, 255], [7, 7, 0]])
    write_mask(tmp_path / "masks" / "one.png", labels, vocabulary)
    picture = PIL.Image.open(tmp_path / "masks" / "one.png")
    assert picture.mode == "P"
    assert numpy.array_equal(numpy.asarray(picture), labels)
    assert tuple(picture.convert("RGB").getpixel((1, 0))) == vocabulary.colours[1]
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["one.png"]


def test_numbers_above_255_take_16_bits(tmp_path: Path) -> None:
    vocabulary = make_vocabulary([f"class {index}" for index in range(300)])
    labels = numpy.arange(301)[None]
    write_mask(tmp_path / "one.png", labels, vocabulary)
    assert numpy.array_equal(numpy.asarray(PIL.Image.open(tmp_path / "one.png")), labels)
