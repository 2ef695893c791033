"""Runs, areas and boxes are those of every class alone, as pycocotools counts them."""

from __future__ import annotations

import numpy
import pycocotools.mask
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ovsskit.datasets.runs import draw_runs
from ovsskit.export.runs import class_runs

MASKS = arrays.arrays(
    "int32", st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3)
)


@given(MASKS)
def test_runs_down_the_columns_are_those_of_each_class_alone(mask: numpy.ndarray) -> None:
    height, width = mask.shape
    found = dict(class_runs(mask.T))
    assert list(found) == numpy.unique(mask).tolist()
    for number, runs in found.items():
        alone = mask == number
        packed = pycocotools.mask.encode(numpy.asfortranarray(alone.astype("uint8")))
        assert sum(runs.counts()) == mask.size
        assert numpy.array_equal(draw_runs(runs.counts(), height, width), alone)
        assert runs.area == pycocotools.mask.area(packed)
        assert list(runs.box(height)) == pycocotools.mask.toBbox(packed).tolist()


@given(MASKS)
def test_runs_along_the_rows(mask: numpy.ndarray) -> None:
    for number, runs in class_runs(mask):
        inside = numpy.arange(len(runs.counts())) % 2 == 1
        drawn = numpy.repeat(inside, runs.counts()).reshape(mask.shape)
        assert numpy.array_equal(drawn, mask == number)
