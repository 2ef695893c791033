from __future__ import annotations

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovsskit.output.fonts import font_for
from ovsskit.output.overlay import LONGEST, SHORTEST, draw_overlay, measure_areas
from ovsskit.vocabulary import make_vocabulary

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
