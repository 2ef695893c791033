"""Filter values over pixels with a Gaussian of their features, on the permutohedral lattice.

The kernel is normalised symmetrically, as a term of a dense CRF (Kraehenbuehl & Koltun 2011).
Everything is float32 in the order of pydensecrf, since another rounding would put some pixels into
another simplex. Splat, blur and slice are the same operation, a sum of some rows of a table;
`embedding_bag` is the fastest way to do it.
Source: Adams et al. 2010.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from itertools import pairwise

from ovsskit._lazy import Float, Int, torch
from ovsskit.engine.sending import send


@dataclass(frozen=True, eq=False)
class Lattice:
    """Hold the normalised kernel between all pixels of one image, for any number of values.

    A pixel with d features lies in a simplex of d + 1 vertices, which `vertices` names. The other
    way, `pixels` lists the pixels around vertex after vertex, and `starts` where each list begins
    and the last ends. `neighbours` are the vertices before and after a vertex along an axis. The
    last vertex stands for missing ones: it is zero.
    `pairs` says where the neighbours of each vertex begin, `corners` where the vertices of each
    pixel do.
    """

    pixels: Int[torch.Tensor, " entry"]
    starts: Int[torch.Tensor, " start"]
    splat_weights: Float[torch.Tensor, " entry"]
    neighbours: Int[torch.Tensor, "axis vertex 2"]
    vertices: Int[torch.Tensor, "pixel axis"]
    slice_weights: Float[torch.Tensor, "pixel axis"]
    pairs: Int[torch.Tensor, " vertex_start"]
    corners: Int[torch.Tensor, " pixel_start"]

    @classmethod
    def build(cls, features: Float[torch.Tensor, "pixel d"]) -> Lattice:
        """Embed pixels by features in standard deviations of the kernel (Adams et al. 2010)."""
        count, d = features.shape
        # pydensecrf embeds four pixels at a time: the missing ones leave vertices around the
        # origin, without weight.
        codes, steps, weights = _codes(
            torch.nn.functional.pad(features.float(), (0, 0, 0, -count % 4))
        )
        weights[:, count:] = 0
        ordered, entries = codes.flatten().sort(stable=True)
        found, positions, sizes = torch.unique_consecutive(
            ordered, return_inverse=True, return_counts=True
        )
        vertices = (
            torch.empty_like(entries, dtype=torch.int32)
            .scatter_(0, entries, positions.int())
            .view_as(codes)
        )
        pixels = entries.int().remainder_(codes.shape[1]).clamp_(max=count - 1)
        starts = torch.cat([sizes.new_zeros(1), sizes.cumsum(0), sizes.sum(0, keepdim=True)])
        lattice = cls(
            pixels,
            starts.int(),
            weights.flatten().index_select(0, entries),
            _neighbours(found, steps),
            torch.stack(vertices.unbind(), 1)[:count],
            torch.stack(weights.unbind(), 1)[:count],
            torch.arange(0, 2 * len(found) + 3, 2, dtype=torch.int32, device=features.device),
            torch.arange(0, (d + 1) * count + 1, d + 1, dtype=torch.int32, device=features.device),
        )
        gain = 1 / (1 + 2.0**-d)
        mass = gain * lattice.sliced(lattice.blurred(weights.new_ones(count, 1)))[:, 0]
        norm = (mass.double() + 1e-20).sqrt().reciprocal().float()
        lattice.splat_weights.mul_(norm.index_select(0, pixels))
        lattice.slice_weights.mul_((gain * norm)[:, None])
        return lattice

    @property
    def nbytes(self) -> int:
        """Return how much memory it takes."""
        return sum(getattr(self, one.name).nbytes for one in fields(self))

    def filter(
        self, values: Float[torch.Tensor, "class pixel"]
    ) -> Float[torch.Tensor, "class pixel"]:
        """Return at every pixel the kernel's weighted sum over all pixels, itself included."""
        return self.sliced(self.blurred(values.T)).T

    def blurred(
        self, values: Float[torch.Tensor, "pixel class"]
    ) -> Float[torch.Tensor, "vertex class"]:
        """Return values spread to the vertices and blurred along every axis of the lattice."""
        table = _sums(values, self.pixels, self.starts, self.splat_weights)
        for neighbours in self.neighbours:
            sums = _sums(table, neighbours, self.pairs)
            table = torch.add(table, sums, alpha=0.5, out=sums)
        return table

    def sliced(
        self, table: Float[torch.Tensor, "vertex class"], rows: slice = slice(None)
    ) -> Float[torch.Tensor, "row class"]:
        """Return blurred values at some pixels (default: all), from the vertices around them."""
        vertices = self.vertices[rows]
        return _sums(table, vertices, self.corners[: len(vertices) + 1], self.slice_weights[rows])


def _sums(
    table: Float[torch.Tensor, "row class"],
    rows: Int[torch.Tensor, "..."],
    starts: Int[torch.Tensor, " start"],
    weights: Float[torch.Tensor, "..."] | None = None,
) -> Float[torch.Tensor, "bag class"]:
    """Return sums of rows of a table, weighted or not, of those from each start to the next.

    `torch.nn.functional` would make the starts of lines of equal length anew in each call.
    """
    weights = None if weights is None else weights.flatten()
    sums: torch.Tensor = torch.embedding_bag(
        table, rows.flatten(), starts, mode=0, per_sample_weights=weights, include_last_offset=True
    )[0]
    return sums


def _codes(
    features: Float[torch.Tensor, "pixel d"],
) -> tuple[Int[torch.Tensor, "axis pixel"], list[int], Float[torch.Tensor, "axis pixel"]]:
    """Return an integer for every vertex of the simplices, and the vertices' weights.

    Between them stands what a step along each axis adds to an integer.
    """
    blocks = [
        _simplices(block) for block in features.split(2**16)
    ]  # blocks stay in the cache of a CPU
    differences, order, weights = (torch.cat(parts, 1) for parts in zip(*blocks, strict=True))
    # The margins hold the other vertices of the simplex and their neighbours. The last digit is the
    # remainder.
    low = differences.amin(1, keepdim=True) - 2
    extents = (differences.amax(1, keepdim=True) - low + 3).flatten().long().tolist()
    places = [math.prod(extents[axis:]) * len(order) for axis in range(len(order))]
    assert places[0] < 2**63, "the features span too many standard deviations"
    kind = torch.int32 if places[0] < 2**31 else torch.int64
    digits = [0, *places[1:], 0]
    steps = [following - digit for digit, following in pairwise(digits)]
    units, less = (
        send(torch.tensor(numbers, dtype=kind), features.device)
        for numbers in (digits, [step - 1 for step in steps])
    )
    codes = units.new_zeros(order.shape)
    for axis, difference in enumerate(differences - low):
        codes[0] += difference.to(kind) * units[axis + 1]
    for remainder in range(1, len(order)):
        codes[remainder] = codes[remainder - 1] - less.index_select(0, order[-remainder].int())
    return codes, steps, weights


def _simplices(
    features: Float[torch.Tensor, "pixel d"],
) -> tuple[
    Float[torch.Tensor, "d pixel"],
    Int[torch.Tensor, "axis pixel"],
    Float[torch.Tensor, "axis pixel"],
]:
    """Return each pixel's simplex: its place, the axes by falling offset, and vertex weights.

    The place is the difference, in cells, of the first vertex between each axis and the next. It
    follows the features one by one, so that vertices with close codes share pixels: this halves the
    time of a splat.
    """
    d = features.shape[1]
    numbers = torch.arange(1, d + 1, dtype=torch.float64)
    deviation = torch.tensor(math.sqrt(2 / 3) * (d + 1), dtype=torch.float32)
    scale = send(
        ((numbers * (numbers + 1)).sqrt().reciprocal() * deviation).float(), features.device
    )
    shrink = torch.tensor(1 / (d + 1), dtype=torch.float32).item()
    axes = torch.arange(d + 1, dtype=torch.int8, device=features.device)[:, None]

    scaled = features.T * scale[:, None]
    elevated = scaled.new_zeros(d + 1, scaled.shape[1])
    for axis in range(d, 0, -1):
        elevated[axis] = elevated[0] - scaled[axis - 1] * axis
        elevated[0] += scaled[axis - 1]
    corners = (elevated * shrink).round_()
    offsets = elevated - corners * (d + 1)
    ranks = corners.sum(0).to(torch.int8) + axes
    for axis in range(d):
        lower = (offsets[axis] < offsets[axis + 1 :]).view(torch.int8)
        ranks[axis] += lower.sum(0, dtype=torch.int8)
        ranks[axis + 1 :] -= lower
    wraps = (ranks < 0).to(torch.int8) - (ranks > d).to(torch.int8)
    corners += wraps
    ranks += wraps * (d + 1)

    places = ranks.long()
    order = torch.empty_like(ranks).scatter_(0, places, axes.expand(ranks.shape))
    falling = torch.empty_like(elevated).scatter_(
        0, places, (elevated - corners * (d + 1)) * shrink
    )
    weights = torch.cat(
        [(falling[-1] + (1 - falling[0]))[None], (falling[:-1] - falling[1:]).flip(0)]
    )
    return corners[:-1] - corners[1:], order, weights


def _neighbours(
    codes: Int[torch.Tensor, " vertex"], steps: list[int]
) -> Int[torch.Tensor, "axis _ 2"]:
    """Return for every axis the vertices before and after each vertex; `codes` ascend."""
    none = len(codes)
    here = torch.arange(none + 1, dtype=torch.int32, device=codes.device)
    lowered = torch.where(codes % len(steps) == 0, codes + (len(steps) - 1), codes - 1)
    neighbours = []
    for step in steps:
        position = torch.searchsorted(codes, lowered + step, out_int32=True).clamp_(max=none - 1)
        before = torch.full_like(here, none)
        before[:-1] = torch.where(codes.index_select(0, position) == lowered + step, position, none)
        after = torch.full_like(here, none).scatter_(0, before.long(), here)
        after[-1] = none
        neighbours.append(torch.stack([before, after], 1))
    return torch.stack(neighbours)
