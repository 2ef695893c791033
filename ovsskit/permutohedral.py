"""Filter values over pixels with a Gaussian of their features, on the permutohedral lattice (Adams et al. 2010).

A kernel is normalised symmetrically as in Kraehenbuehl & Koltun (2011), so that it can be a term of a dense CRF. All is
float32, and the order of the operations is that of pydensecrf: another rounding would put a pixel into another simplex.
Each of the three steps (splat, blur, slice) is a sum of weighted rows of a table: an `embedding_bag`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float, Int

from ovsskit.lazy import torch


@dataclass(frozen=True, eq=False)
class Bags:
    """Hold a sparse matrix by rows: which rows of a table to add up, with which weights, and where each bag starts."""

    members: Int[torch.Tensor, " entry"]
    starts: Int[torch.Tensor, " bag+1"]
    weights: Float[torch.Tensor, " entry"]

    def sum(self, table: Float[torch.Tensor, "row class"]) -> Float[torch.Tensor, "bag class"]:
        """Return the weighted sum of the rows in every bag."""
        return torch.nn.functional.embedding_bag(
            self.members, table, self.starts, mode="sum", per_sample_weights=self.weights, include_last_offset=True
        )


@dataclass(frozen=True, eq=False)
class Lattice:
    """Hold the kernel between all pixels of one picture: from pixels to vertices, along each axis, and back."""

    splat: Bags
    blurs: tuple[Bags, ...]
    slice: Bags

    @classmethod
    def build(cls, features: Float[torch.Tensor, "pixel d"]) -> Lattice:
        """Embed pixels, given by their features in units of the kernel's standard deviation."""
        pixels, axes = features.shape[0], features.shape[1] + 1
        # pydensecrf works on four pixels at a time: vertices of the missing ones exist, at the origin, without weight.
        padded = torch.nn.functional.pad(features.float(), (0, 0, 0, -pixels % 4))
        corner, order, barycentric = _simplices(padded)
        barycentric[:, pixels:] = 0
        vertices, entry, starts, blurs = _vertices(corner, order)
        weights = barycentric.T[:pixels].reshape(-1)
        members = vertices.T[:pixels].reshape(-1)
        every = torch.arange(0, pixels * axes + 1, axes, dtype=torch.int32, device=features.device)
        source = (entry % padded.shape[0]).clamp_(max=pixels - 1)
        plain = cls(Bags(source.int(), starts, barycentric.reshape(-1)[entry]), blurs, Bags(members, every, weights / (1 + 2.0 ** (1 - axes))))
        mass = plain.slice.sum(plain.blurred(weights.new_ones(pixels, 1))).squeeze(1)
        norm = (mass.double() + 1e-20).sqrt().reciprocal().float()
        return cls(
            Bags(plain.splat.members, starts, plain.splat.weights * norm[source]),
            blurs,
            Bags(members, every, (plain.slice.weights.view(pixels, axes) * norm[:, None]).view(-1)),
        )

    def blurred(self, values: Float[torch.Tensor, "pixel class"]) -> Float[torch.Tensor, "vertex class"]:
        table = self.splat.sum(values)
        for blur in self.blurs:
            table = blur.sum(table)
        return table


def _simplices(features):
    d = features.shape[1]
    spread = torch.tensor(math.sqrt(2 / 3) * (d + 1)).double()
    index = torch.arange(1, d + 1, dtype=torch.float64)
    scale = ((index * (index + 1)).sqrt().reciprocal() * spread).float().tolist()
    scaled = features.T.contiguous() * torch.tensor(scale, device=features.device)[:, None]
    elevated = scaled.new_empty(d + 1, scaled.shape[1])
    total = torch.zeros_like(scaled[0])
    for j in range(d, 0, -1):
        elevated[j] = total - j * scaled[j - 1]
        total = total + scaled[j - 1]
    elevated[0] = total
    step = torch.tensor(1 / (d + 1)).item()
    corner = (elevated * step).round_()
    excess = corner.sum(0)
    rest = elevated - corner * (d + 1)
    rank = excess.expand(d + 1, -1).to(torch.int8)
    for i in range(d):
        lower = rest[i] < rest[i + 1 :]
        rank[i] += lower.sum(0, dtype=torch.int8)
        rank[i + 1 :] += ~lower
    wrap = (rank < 0).to(torch.int8) - (rank > d).to(torch.int8)
    rank += wrap * (d + 1)
    corner += wrap
    ladder = ((elevated - corner * (d + 1)) * step)
    order = torch.empty_like(rank, dtype=torch.int64)
    order.scatter_(0, rank.long(), torch.arange(d + 1, device=rank.device)[:, None].expand_as(order))
    t = ladder.gather(0, order)
    bary = torch.empty_like(t)
    bary[0] = t[d] + (1 - t[0])
    bary[1:] = (t[:-1] - t[1:]).flip(0)
    return corner, order, bary


def _vertices(corner, order):
    axes, pixels = corner.shape
    d = axes - 1
    dev = corner.device
    coordinate = corner[:d].long()
    low = coordinate.amin(1) - 2
    extent = (coordinate.amax(1) + 2 - low).tolist()
    strides = [math.prod(extent[i + 1 :]) for i in range(d)] + [0]
    size = math.prod(extent)
    assert size < 2**62
    s = torch.tensor(strides, device=dev)
    base = ((coordinate - low[:, None]) * s[:d, None]).sum(0)
    codes = base.expand(axes, -1).clone()
    codes[1:] -= s[order.flip(0)[:-1]].cumsum(0)
    if size < 2**31:
        codes = codes.int()
    found, runs, entry, ids = [], [], [], torch.empty(axes, pixels, dtype=torch.int32, device=dev)
    first = 0
    for r in range(axes):
        so, perm = torch.sort(codes[r], stable=True)
        new = torch.ones_like(so, dtype=torch.bool)
        torch.ne(so[1:], so[:-1], out=new[1:])
        ids[r, perm] = new.cumsum(0, dtype=torch.int32) + (first - 1)
        begin = new.nonzero().squeeze(1)
        found.append(so[begin].long())
        runs.append(begin + r * pixels)
        entry.append(perm + r * pixels)
        first += len(begin)
    starts = torch.cat([*runs, torch.tensor([axes * pixels], device=dev)]).int()
    blurs = tuple(_blur(found, strides, j) for j in range(axes))
    return ids, torch.cat(entry), starts, blurs


def _blur(found, strides, j):
    vertices = sum(map(len, found))
    dev = found[0].device
    below = torch.full((vertices,), -1, dtype=torch.int64, device=dev)
    offset = [0]
    for f in found:
        offset.append(offset[-1] + len(f))
    for r, f in enumerate(found):
        target = found[r - 1]
        wanted = f + (strides[j] - (sum(strides) if r == 0 else 0))
        at = torch.searchsorted(target, wanted).clamp_(max=len(target) - 1)
        hit = target[at] == wanted
        base = offset[(r - 1) % len(found)]
        below[offset[r] : offset[r + 1]] = torch.where(hit, at + base, -1)
    here = torch.arange(vertices, device=dev)
    above = torch.full_like(below, -1)
    known = below >= 0
    above[below[known]] = here[known]
    members = torch.stack([below, above, here], 1)
    keep = members >= 0
    starts = torch.zeros(vertices + 1, dtype=torch.int32, device=dev)
    torch.cumsum(keep.sum(1), 0, dtype=torch.int32, out=starts[1:])
    weights = torch.tensor([0.5, 0.5, 1.0], device=dev).expand(vertices, 3)
    return Bags(members[keep].int(), starts, weights[keep])
