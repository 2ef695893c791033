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
        codes, strides = _codes(corners, order)
        found, entries, sizes, splat_weights = [], [], [], []
        vertices = torch.empty(codes.shape[1], d + 1, dtype=torch.int32, device=features.device)
        for remainder, (code, weight) in enumerate(zip(codes, weights, strict=True)):
            ordered, pixels = code.sort(stable=True)
            unique, position, size = torch.unique_consecutive(ordered, return_inverse=True, return_counts=True)
            vertices[:, remainder].scatter_(0, pixels, position.int() + sum(map(len, found)))
            found.append(unique)
            sizes.append(size)
            entries.append(pixels.int())
            splat_weights.append(weight.index_select(0, pixels))
        neighbours = _neighbours(found, strides)
        starts = torch.nn.functional.pad(torch.cat(sizes).cumsum(0), (1, 1)).int()
        starts[-1] = starts[-2]
        lattice = cls(
            torch.cat(entries).clamp_(max=count - 1),
            starts,
            torch.cat(splat_weights),
            neighbours,
            torch.tensor([0.5, 0.5, 1.0], device=features.device).repeat(neighbours.shape[1], 1),
            vertices[:count],
            weights.T[:count].contiguous(),
        )
        gain = 1 / (1 + 2.0**-d)
        mass = gain * lattice.slice(lattice.blurred(weights.new_ones(count, 1)))[:, 0]
        norm = (mass.double() + 1e-20).sqrt().reciprocal().float()
        lattice.splat_weights.mul_(norm.index_select(0, lattice.pixels))
        lattice.slice_weights.mul_((gain * norm)[:, None])
        return lattice

    def filter(self, values: Float[torch.Tensor, "class pixel"]) -> Float[torch.Tensor, "class pixel"]:
        """Return at every pixel the sum of the values of all pixels, itself included, weighted by the kernel."""
        return self.slice(self.blurred(values.T)).T

    def blurred(self, values: Float[torch.Tensor, "pixel class"]) -> Float[torch.Tensor, "vertex class"]:
        """Return values spread to the vertices and blurred along every axis of the lattice."""
        table = _sums(values, self.pixels, self.splat_weights, self.starts)
        for neighbours in self.neighbours:
            table = _sums(table, neighbours, self.blur_weights)
        return table

    def slice(
        self, table: Float[torch.Tensor, "vertex class"], first: int = 0, last: int | None = None
    ) -> Float[torch.Tensor, "pixel class"]:
        """Return blurred values at some of the pixels (default: all), from the vertices around them."""
        return _sums(table, self.vertices[first:last], self.slice_weights[first:last])


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
    """Return one integer for each vertex of a simplex, unique among vertices of its remainder, and the axes' strides."""
    # The coordinates of a vertex sum to zero: d are enough. The margins hold the simplex and its neighbours.
    low = corners[:-1].amin(1, keepdim=True) - 2
    extents = (corners[:-1].amax(1, keepdim=True) - low + 2).flatten().int().tolist()
    assert math.prod(extents) < 2**63, "the features span too many standard deviations"
    strides = [math.prod(extents[axis + 1 :]) for axis in range(len(extents))] + [0]
    stride = torch.tensor(strides, dtype=torch.int32 if math.prod(extents) < 2**31 else torch.int64, device=corners.device)
    codes = stride.new_empty(order.shape)
    codes[0] = ((corners[:-1] - low).to(stride.dtype) * stride[:-1, None]).sum(0)
    for remainder in range(1, len(order)):
        codes[remainder] = codes[remainder - 1] - stride.index_select(0, order[-remainder])
    return codes, strides


def _neighbours(codes: list[Int[torch.Tensor, "..."]], strides: list[int]) -> Int[torch.Tensor, "axis vertex 3"]:
    """Return for every axis the vertices before and after each vertex, and itself; `codes` by remainder, ascending."""
    firsts = [0, *accumulate(map(len, codes))]
    none = firsts[-1]
    here = torch.arange(none + 1, dtype=torch.int32, device=codes[0].device)
    neighbours = []
    for stride in strides:
        before = torch.full_like(here, none)
        after = torch.full_like(here, none)
        for remainder, code in enumerate(codes):
            others = codes[remainder - 1]
            wanted = code + (stride if remainder else stride - sum(strides))
            place = torch.searchsorted(others, wanted, out_int32=True).clamp_(max=len(others) - 1)
            there = others.index_select(0, place) == wanted
            before[firsts[remainder] : firsts[remainder + 1]] = torch.where(
                there, place + firsts[(remainder - 1) % len(codes)], none
            )
        after.scatter_(0, before.long(), here)
        after[none] = none
        neighbours.append(torch.stack([before, after, here], 1))
    return torch.stack(neighbours)
