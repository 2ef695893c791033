"""Lead a seam between two pictures of the same place along where they agree."""

from __future__ import annotations

from ovsskit._lazy import Bool, Int, numpy

BENT = 1e-3
"""What a pixel away from the straight seam costs, beside a pixel that differs: 1."""


def seam_path(differ: Bool[numpy.ndarray, "along across"]) -> Int[numpy.ndarray, " along"]:
    """Return how far the seam moves at each place along it, forward or back, in pixels.

    `differ` tells of as many pixels on both sides of the straight seam where the pictures differ.
    The path begins and ends on the straight seam, moves by a pixel at most from one place to the
    next, and has the fewest differing pixels at its sides: the shortest path through their costs.
    """
    along, reach = len(differ), differ.shape[1] // 2 - 1
    if reach < 1 or not differ[:, reach : reach + 2].any():
        return numpy.zeros(along, "int64")
    from skimage.graph import MCP

    moves = abs(numpy.arange(-reach, reach + 1))
    cost = differ[:, :-1].astype("float64") + differ[:, 1:] + BENT * moves
    ends = numpy.minimum(numpy.arange(along), numpy.arange(along)[::-1])
    cost[moves > ends[:, None]] = numpy.inf  # so that seams that meet in a corner never cross
    paths = MCP(cost, offsets=[(1, -1), (1, 0), (1, 1)])
    paths.find_costs([(0, reach)], [(along - 1, reach)])
    places = [across for _, across in paths.traceback((along - 1, reach))]
    found: Int[numpy.ndarray, " along"] = numpy.array(places, "int64") - reach
    return found
