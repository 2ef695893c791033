"""Filter values over pixels with a Gaussian of their features, on the permutohedral lattice (Adams et al. 2010).

The kernel is normalised symmetrically, as a term of a dense CRF (Kraehenbuehl & Koltun 2011). Everything is float32 in
the order of pydensecrf, since another rounding would put some pixels into another simplex. Splat, blur and slice are
the same operation, a weighted sum of some rows of a table; `embedding_bag` is the fastest way to do it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate

from jaxtyping import Float, Int

from ovsskit.lazy import torch


@dataclass(frozen=True, eq=False)
class Lattice:
    """Hold the normalised kernel between all pixels of one picture, for any number of values.

    A pixel lies in a simplex of d + 1 vertices, one of every remainder, and `vertices` names them. `pixels` lists the
    other way the pixels around vertex after vertex, and `starts` where each list begins. `neighbours` are the vertices
    before and after a vertex along an axis, and itself; the last vertex stands for missing ones and is always zero.
    """

    pixels: Int[torch.Tensor, " entry"]
    starts: Int[torch.Tensor, " vertex+1"]
    splat_weights: Float[torch.Tensor, " entry"]
    neighbours: Int[torch.Tensor, "axis vertex 3"]
    blur_weights: Float[torch.Tensor, "vertex 3"]
    vertices: Int[torch.Tensor, "pixel d+1"]
    slice_weights: Float[torch.Tensor, "pixel d+1"]

    @classmethod
    def build(cls, features: Float[torch.Tensor, "pixel d"]) -> Lattice:
        """Embed pixels, given by features in standard deviations of the kernel (Adams et al. 2010, section 3)."""
        count, d = features.shape
        # pydensecrf embeds four pixels at a time: the missing ones leave vertices around the origin, without weight.
        corners, order, weights = _simplices(torch.nn.functional.pad(features.float(), (0, 0, 0, -count % 4)))
        weights[:, count:] = 0
        codes, steps = _codes(corners, order)
        ordered, entries = codes.flatten().sort(stable=True)
        found, places, sizes = torch.unique_consecutive(ordered, return_inverse=True, return_counts=True)
        vertices = torch.empty_like(codes, dtype=torch.int32).view(-1).scatter_(0, entries, places.int()).view_as(codes)
        neighbours = _neighbours(found, steps)
        starts = torch.cat([sizes.new_zeros(1), sizes.cumsum(0), sizes.sum(0, keepdim=True)])
        lattice = cls(
            (entries % codes.shape[1]).clamp_(max=count - 1).int(),
            starts.int(),
            weights.view(-1).index_select(0, entries),
            neighbours,
            torch.tensor([0.5, 0.5, 1.0], device=features.device).repeat(len(starts) - 1, 1),
            vertices.T[:count].contiguous(),
            weights.T[:count].contiguous(),
        )
        gain = 1 / (1 + 2.0**-d)
        mass = gain * lattice.sliced(lattice.blurred(weights.new_ones(count, 1)))[:, 0]
        norm = (mass.double() + 1e-20).sqrt().reciprocal().float()
        lattice.splat_weights.mul_(norm.index_select(0, lattice.pixels))
        lattice.slice_weights.mul_((gain * norm)[:, None])
        return lattice

    def filter(self, values: Float[torch.Tensor, "class pixel"]) -> Float[torch.Tensor, "class pixel"]:
        """Return at every pixel the sum of the values of all pixels, itself included, weighted by the kernel."""
        return self.sliced(self.blurred(values.T)).T

    def blurred(self, values: Float[torch.Tensor, "pixel class"]) -> Float[torch.Tensor, "vertex class"]:
        """Return values spread to the vertices and blurred along every axis of the lattice."""
        table = _sums(values, self.pixels, self.splat_weights, self.starts)
        for neighbours in self.neighbours:
            table = _sums(table, neighbours, self.blur_weights)
        return table

    def sliced(
        self, table: Float[torch.Tensor, "vertex class"], rows: slice = slice(None)
    ) -> Float[torch.Tensor, "pixel class"]:
        """Return blurred values at some of the pixels (default: all), from the vertices around them."""
        return _sums(table, self.vertices[rows], self.slice_weights[rows])


def _sums(
    table: Float[torch.Tensor, "row class"],
    rows: Int[torch.Tensor, "..."],
    weights: Float[torch.Tensor, "..."],
    starts: Int[torch.Tensor, " bag+1"] | None = None,
) -> Float[torch.Tensor, "bag class"]:
    """Return weighted sums of rows: of those between two starts, or of those in each line of `rows`."""
    return torch.nn.functional.embedding_bag(
        rows, table, starts, mode="sum", per_sample_weights=weights, include_last_offset=starts is not None
    )


def _simplices(
    features: Float[torch.Tensor, "pixel d"],
) -> tuple[Float[torch.Tensor, "d+1 pixel"], Int[torch.Tensor, "d+1 pixel"], Float[torch.Tensor, "d+1 pixel"]]:
    """Return the corner of every pixel's simplex (in cells), its axes by falling offset, and the weights of its vertices."""
    d = features.shape[1]
    axes = torch.arange(d + 1, device=features.device)[:, None]
    steps = torch.arange(1, d + 1, dtype=torch.float64)
    scale = (steps * (steps + 1)).sqrt().reciprocal() * torch.tensor(math.sqrt(2 / 3) * (d + 1), dtype=torch.float32)
    scaled = features.T * scale.float().to(features.device)[:, None]
    shrink = torch.tensor(1 / (d + 1), dtype=torch.float32).item()

    elevated = scaled.new_zeros(d + 1, scaled.shape[1])
    for axis in range(d, 0, -1):
        elevated[axis] = elevated[0] - scaled[axis - 1] * axis
        elevated[0] += scaled[axis - 1]
    corners = (elevated * shrink).round_()
    offsets = elevated - corners * (d + 1)
    ranks = corners.sum(0).to(torch.int8).repeat(d + 1, 1)
    for axis in range(d):
        lower = offsets[axis] < offsets[axis + 1 :]
        ranks[axis] += lower.sum(0, dtype=torch.int8)
        ranks[axis + 1 :] += ~lower
    wraps = (ranks < 0).to(torch.int8) - (ranks > d).to(torch.int8)
    corners += wraps
    ranks += wraps * (d + 1)

    order = torch.empty_like(ranks, dtype=torch.int64).scatter_(0, ranks.long(), axes.expand_as(ranks))
    ladder = ((elevated - corners * (d + 1)) * shrink).gather(0, order)
    weights = torch.cat([(ladder[-1] + (1 - ladder[0]))[None], (ladder[:-1] - ladder[1:]).flip(0)])
    return corners, order, weights


def _codes(
    corners: Float[torch.Tensor, "d+1 pixel"], order: Int[torch.Tensor, "d+1 pixel"]
) -> tuple[Int[torch.Tensor, "d+1 pixel"], list[int]]:
    """Return one integer for each vertex of a simplex, unique among vertices of its remainder, and the steps of an axis."""
    # Differences of coordinates follow the features one by one, so that vertices with close codes share pixels, which
    # halves the time of a splat. The margins hold the other vertices of the simplex and their neighbours.
    differences = corners[:-1] - corners[1:]
    low = differences.amin(1, keepdim=True) - 2
    extents = (differences.amax(1, keepdim=True) - low + 3).flatten().int().tolist()
    size = math.prod(extents) * len(order)
    assert size < 2**63, "the features span too many standard deviations"
    places = [math.prod(extents[axis + 1 :]) * len(order) for axis in range(len(extents))]
    steps = [high - low for high, low in zip([*places, 0], [0, *places], strict=True)]
    kind = torch.int32 if size < 2**31 else torch.int64
    step = torch.tensor(steps, dtype=kind, device=corners.device)
    codes = step.new_empty(order.shape)
    codes[0] = ((differences - low).to(kind) * torch.tensor(places, dtype=kind, device=corners.device)[:, None]).sum(0)
    for remainder in range(1, len(order)):
        codes[remainder] = codes[remainder - 1] - (step - 1).index_select(0, order[-remainder])
    return codes, steps


def _neighbours(codes: Int[torch.Tensor, " vertex"], steps: list[int]) -> Int[torch.Tensor, "axis vertex 3"]:
    """Return for every axis the vertices before and after each vertex, and itself; `codes` ascend."""
    none = len(codes)
    here = torch.arange(none + 1, dtype=torch.int32, device=codes.device)
    moved = torch.where(codes % len(steps) == 0, codes + (len(steps) - 1), codes - 1)
    neighbours = []
    for step in steps:
        place = torch.searchsorted(codes, moved + step, out_int32=True).clamp_(max=none - 1)
        before = torch.full_like(here, none)
        before[:-1] = torch.where(codes.index_select(0, place) == moved + step, place, none)
        after = torch.full_like(here, none).scatter_(0, before.long(), here)
        after[-1] = none
        neighbours.append(torch.stack([before, after, here], 1))
    return torch.stack(neighbours)
