"""What is packed is what Label Studio's own package unpacks."""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from label_studio_converter.brush import decode_rle

from ovsskit.export.brush import pack_brush
from ovsskit.export.runs import class_runs


def unpacked(packed: list[int], height: int, width: int) -> numpy.ndarray:
    return decode_rle(packed).reshape(height, width, 4)


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 30))))
def test_any_mask(mask: numpy.ndarray) -> None:
    for number, runs in class_runs(mask.astype("int32")):
        found = unpacked(pack_brush(runs.counts()), *mask.shape)
        assert (found == found[..., :1]).all()
        assert numpy.array_equal(found[..., 3] == 255, mask == bool(number))
        assert set(numpy.unique(found)) <= {0, 255}


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 64, 65, 16383, 16384, 16385, 40000])
def test_runs_of_any_length(count: int) -> None:
    found = unpacked(pack_brush([2, count, 1]), 1, count + 3)[0, :, 3]
    assert found.tolist() == [0, 0] + [255] * count + [0]
