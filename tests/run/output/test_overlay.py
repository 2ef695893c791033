from __future__ import annotations

import numpy
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.output.fonts import font_for
from ovsskit.run.output.overlay import (
    LONGEST,
    SHORTEST,
    Area,
    _Legend,
    draw_overlay,
    measure_areas,
    tint_image,
)

TWO = make_vocabulary(["dog", "cat"])


def test_areas_are_fractions_the_largest_first() -> None:
    areas = measure_areas(numpy.array([[0, 2, 2, 2]]), TWO)
    assert [(area.name, area.fraction, area.percent) for area in areas] == [
        ("cat", 0.75, "75 %"),
        ("background", 0.25, "25 %"),
    ]


def test_classes_are_tinted_and_the_background_is_not() -> None:
    pixels = numpy.full((SHORTEST, SHORTEST, 3), 100, "uint8")
    labels = numpy.zeros((SHORTEST, SHORTEST), "int64")
    labels[:, 300:] = 1
    drawn = numpy.asarray(draw_overlay(pixels, labels, TWO))
    assert tuple(drawn[50, 100]) == (100, 100, 100)
    tinted = 0.45 * 100 + 0.55 * numpy.array(TWO.colours[1])
    assert numpy.allclose(drawn[50, 500], tinted, atol=1)
    assert tuple(drawn[50, 300]) == TWO.colours[1]
    assert drawn.shape[1] > SHORTEST


@pytest.mark.parametrize(("length", "border"), [(360, 1), (1126, 3)])
def test_borders_are_of_one_width_in_full_colour(length: int, border: int) -> None:
    labels = numpy.ones((12, length), "int64")
    labels[6:, 100:] = 2
    drawn = numpy.asarray(tint_image(PIL.Image.new("RGB", (length, 12)), labels, TWO))
    expected = numpy.zeros(labels.shape, bool)
    expected[6:, 100 - border : 100 + border] = True
    expected[6 - border : 6 + border, 100:] = True
    assert numpy.array_equal((drawn == numpy.array(TWO.colours)[labels]).all(-1), expected)


@pytest.mark.parametrize(
    ("size", "beneath", "scale", "letters", "rows"),
    [
        ((640, 640), False, 1, 15, 25),
        ((320, 320), False, 2, 15, 25),
        ((321, 100), False, 2, 15, 25),
        ((1000, 700), False, 1, 21, 28),
        ((400, 680), False, 1, 15, 15),
        ((400, 690), True, 1, 15, 12),
        ((20, 4096), True, 0.5, 43, 12),
    ],
)
def test_the_legend_lies_beside_or_beneath(
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    beneath: bool,
    scale: float,
    letters: int,
    rows: int,
) -> None:
    """Beside the image it has one column, beneath as many as its width has room for."""
    seen: list[tuple[_Legend, int, int]] = []
    draw = _Legend.draw
    monkeypatch.setattr(
        _Legend,
        "draw",
        lambda self, *room: (seen.append((self, *room)), draw(self, *room))[1],
    )
    drawn = draw_overlay(numpy.full((*size, 3), 9, "uint8"), numpy.ones(size, "int64"), TWO)
    [(legend, *room)] = seen
    height, width = (round(side * scale) for side in size)
    assert (legend.size, room) == (letters, [width // legend.column if beneath else 1, rows])
    added = 2 * legend.row if beneath else legend.column
    assert drawn.size == ((width, height + added) if beneath else (width + added, height))
    left, top = (0, height) if beneath else (width, 0)
    corner = (left + legend.row // 2, top + legend.row // 2 + legend.row // 8)
    tinted = [round(0.45 * 9 + 0.55 * part) for part in TWO.colours[1]]
    assert numpy.allclose(drawn.getpixel((0, 0)), tinted, atol=1)
    assert drawn.getpixel(corner) == (105, 105, 105), "the swatch's outline"
    assert drawn.getpixel((corner[0] + 1, corner[1] + 1)) == TWO.colours[1]


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.0009, "< 0.1 %"), (0.0011, "0.1 %"), (0.099, "9.9 %"), (0.1, "10 %"), (0.104, "10 %")],
)
def test_small_areas_have_a_decimal(fraction: float, text: str) -> None:
    assert Area(1, "dog", (0, 0, 0), fraction).percent == text


@settings(deadline=None, max_examples=15)
@given(
    st.sampled_from([1, 2, 17, 300, 3000]), st.sampled_from([1, 3, 40, 2500]), st.integers(1, 40)
)
def test_every_size_can_be_drawn(height: int, width: int, classes: int) -> None:
    vocabulary = make_vocabulary(
        [f"class {index} of a long name " * (1 + index % 3) for index in range(classes)]
    )
    labels = (numpy.arange(height * width) % (classes + 1)).reshape(height, width)
    drawn = draw_overlay(numpy.zeros((height, width, 3), "uint8"), labels, vocabulary)
    assert SHORTEST <= max(drawn.size) <= 2 * LONGEST


@pytest.mark.parametrize("name", ["Größe", "ship", "\U0001e900\U0001e901"])
def test_names_in_any_script_can_be_drawn(name: str) -> None:
    vocabulary = make_vocabulary([name])
    drawn = draw_overlay(
        numpy.zeros((40, 40, 3), "uint8"), numpy.ones((40, 40), "int64"), vocabulary
    )
    assert drawn.width > SHORTEST


def test_fonts() -> None:
    assert font_for("Größe, naïve", 20) is not None
    assert font_for("\U0010fffc", 20) is None


def test_a_name_in_a_legend_ends_before_its_area_begins() -> None:
    areas = [Area(0, "a name of some letters", (255, 0, 0), 0.5), Area(1, "x", (0, 0, 0), 0.05)]
    legend = _Legend(areas, 20)
    first = numpy.asarray(legend.draw(1, 2))[: 3 * legend.row // 2]
    inked = numpy.flatnonzero((first != 255).any((0, 2)))
    gaps = numpy.diff(inked) - 1
    assert (gaps > legend.size // 2).sum() == 2, "swatch, name and area, of which words stand close"
    assert inked[-1] < legend.column - legend.size // 2, "nothing is cut off"


def test_a_legend_lies_in_rows_and_says_how_many_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[tuple[int, int, str]] = []
    monkeypatch.setattr(
        _Legend,
        "_write",
        lambda _, draw, left, top, text, colour: written.append((left, top, text)),
    )
    areas = [Area(index, f"class {index}", (200, 10 * index, 0), 0.1) for index in range(9)]
    legend = _Legend(areas, 10)
    panel = legend.draw(2, 3)
    row, column = legend.row, legend.column
    assert (row, panel.size) == (16, (2 * column, 4 * row))
    assert column == 2 * row + legend.name_width + legend._width("88.8 %") + 10
    names = [one for one in written if one[2].startswith("class")]
    assert names == [
        (index // 3 * column + 8 + row, index % 3 * row + 8, f"class {index}") for index in range(5)
    ]
    assert [left + legend._width(text) for left, _, text in written if "%" in text] == [
        index // 3 * column + column - 5 for index in range(5)
    ]
    assert written[-1] == (column + 8, 2 * row + 8, "and 4 more")
    assert panel.getpixel((8 + 5, 8 + 2 + 5)) == (200, 0, 0)
    written.clear()
    _Legend(areas[:6], 10).draw(2, 3)
    assert [text for *_, text in written if "%" not in text] == [f"class {n}" for n in range(6)]
    assert Area(0, "x", (0, 0, 0), 0.001).percent == "0.1 %"
