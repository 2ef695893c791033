"""Runs are read as pycocotools writes them."""

from __future__ import annotations

import numpy
import pycocotools.mask
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ovsskit.datasets.runs import draw_runs, unpack_counts

MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 70)))


@given(MASKS)
def test_what_pycocotools_packs(mask: numpy.ndarray) -> None:
    packed = pycocotools.mask.encode(numpy.asfortranarray(mask.astype("uint8")))
    counts = unpack_counts(packed["counts"].decode())
    assert numpy.array_equal(draw_runs(counts, *mask.shape), mask)


@given(MASKS, st.integers(1, 3))
def test_runs_that_were_cut_off_are_noticed(mask: numpy.ndarray, left_out: int) -> None:
    packed = pycocotools.mask.encode(numpy.asfortranarray(mask.astype("uint8")))
    text = packed["counts"].decode()[:-left_out]
    with pytest.raises(ValueError, match="cut off|do not cover"):
        draw_runs(unpack_counts(text), *mask.shape)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_long_runs(counts: list[int]) -> None:
    packed = pycocotools.mask.frPyObjects({"size": [sum(counts), 1], "counts": counts}, 1, 1)
    assert unpack_counts(packed["counts"].decode()) == counts
