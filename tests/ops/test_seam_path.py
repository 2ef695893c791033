from __future__ import annotations

import numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ovsskit.ops.seam_path import seam_path


@given(
    st.tuples(st.integers(1, 30), st.integers(0, 8)).flatmap(
        lambda size: arrays(bool, (size[0], 2 * size[1]))
    )
)
def test_a_seam_keeps_its_ends_and_never_costs_more_than_the_straight_one(
    differ: numpy.ndarray,
) -> None:
    path, reach = seam_path(differ), differ.shape[1] // 2 - 1
    along = len(differ)
    assert path.shape == (along,)
    assert path[0] == path[-1] == 0
    assert (abs(numpy.diff(path)) <= 1).all()
    ends = numpy.minimum(numpy.arange(along), numpy.arange(along)[::-1])
    assert (abs(path) <= numpy.minimum(ends, max(reach, 0))).all()
    if reach >= 0:
        places = numpy.arange(along)
        beside = [differ[places, path + reach + step].sum() for step in (0, 1)]
        straight = differ[:, reach : reach + 2].sum()
        assert sum(beside) <= straight


def test_a_seam_goes_around_what_differs() -> None:
    differ = numpy.zeros((20, 14), bool)
    differ[6:14, 4:9] = True
    path = seam_path(differ)
    assert not differ[numpy.arange(20), path + 6].any()
    assert not differ[numpy.arange(20), path + 7].any()
    assert path[:2].tolist() == [0, 0]


def test_windows_that_agree_have_a_straight_seam() -> None:
    assert not seam_path(numpy.zeros((9, 12), bool)).any()
