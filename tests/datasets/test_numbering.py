"""Numbers are looked up, whatever their width; one that is not in the table is an error."""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ovsskit.datasets.dataset import VOID
from ovsskit.datasets.numbering import Numbering
from ovsskit.errors import BadFile

TABLES = st.dictionaries(st.integers(0, 300), st.integers(VOID, 200), min_size=1)


@given(TABLES, st.data())
def test_every_known_number_has_its_class(classes: dict[int, int], data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["int8", "int16", "int32", "int64"]))
    known = sorted(number for number in classes if number <= numpy.iinfo(kind).max)
    if not known:
        return
    raw = data.draw(arrays.arrays(kind, (3, 4), elements=st.sampled_from(known)))
    found = Numbering(classes).translate(raw, "mask.png")
    assert found.tolist() == [[classes[number] for number in row] for row in raw.tolist()]


@given(TABLES, st.integers(-5, 70_000))
def test_an_unknown_number_is_named(classes: dict[int, int], number: int) -> None:
    if number in classes:
        return
    raw = numpy.full((2, 2), min(classes), "int32")
    raw[1, 0] = number
    with pytest.raises(BadFile, match=f"numbers of no class: {number}\\.") as caught:
        Numbering(classes).translate(raw, "mask.png")
    assert str(caught.value.where) == "mask.png"


def test_many_numbers_are_given_as_ranges() -> None:
    numbering = Numbering(dict.fromkeys([*range(5), 7, 9, 10], 0))
    with pytest.raises(BadFile, match=r"of no class: 5-6, 20\.") as caught:
        numbering.translate(numpy.array([[5, 6], [20, 1]]), "mask.png")
    assert caught.value.there == "Known: 0-4, 7, 9-10."
