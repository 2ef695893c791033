"""Refine probabilities along image edges: mean field in a dense CRF.

It takes about four times the memory of the probabilities, a hundred megabytes or two, and the
lattices: 150 bytes for each pixel of a photograph (three times that while they are built), 600 for
one of pure noise.
Source: Kraehenbuehl & Koltun 2011.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

from ovsskit._lazy import Float, UInt8, torch
from ovsskit.engine.memo import remember
from ovsskit.engine.sending import send_numbers
from ovsskit.ops.permutohedral import Lattice

Lattices: TypeAlias = tuple[Lattice | None, Lattice | None]
LARGEST_TABLE = 2**23
"""How many values to hold at once on the vertices of a lattice."""


def build_lattices(
    pixels: UInt8[torch.Tensor, "h w 3"],
    *,
    gaussian_sigma: float,
    bilateral_sigma: float,
    bilateral_colour_sigma: float,
) -> Lattices:
    """Build the Gaussian and the bilateral kernel of an image, for any probabilities and weights.

    The first two sigmas are in pixels, the third in steps of 0 to 255. A kernel with a sigma of
    zero is left out.
    """
    kernels = (
        (pixels[:, :, :0], (gaussian_sigma,) * 2),
        (pixels, (bilateral_sigma,) * 2 + (bilateral_colour_sigma,) * 3),
    )
    gaussian, bilateral = (
        remember(("lattice", values, sigmas), partial(build_lattice, values, sigmas))
        if all(sigmas)
        else None
        for values, sigmas in kernels
    )
    return gaussian, bilateral


def build_lattice(values: UInt8[torch.Tensor, "h w _"], sigmas: Sequence[float]) -> Lattice:
    """Build the kernel of column, row and values, by the standard deviations of each."""
    height, width, _ = values.shape
    sides = (torch.arange(side, device=values.device) for side in (height, width))
    rows, columns = torch.meshgrid(*sides, indexing="ij")
    place = torch.stack([columns, rows], -1).float()
    # By a tensor on the device: CUDA divides by a number as a product with its reciprocal, which
    # rounds otherwise.
    deviations = send_numbers(sigmas, place)
    return Lattice.build((torch.cat([place, values], -1) / deviations).flatten(0, 1))


def mean_field(
    probabilities: Float[torch.Tensor, "class h w"],
    pixels: UInt8[torch.Tensor, "h w 3"],
    *,
    steps: int,
    gaussian_sigma: float,
    gaussian_weight: float,
    bilateral_sigma: float,
    bilateral_colour_sigma: float,
    bilateral_weight: float,
    lattices: Lattices | None = None,
) -> Float[torch.Tensor, "class h w"]:
    """Infer the marginals of all pixels' classes by steps of mean field.

    Two pixels with different labels cost the weights (Potts model). A kernel of weight or sigma
    zero is left out. The sigmas are as in `build_lattices`; its result, given as `lattices` to be
    used again, stands in for them.
    Source: Kraehenbuehl & Koltun 2011, algorithm 1.
    """
    if lattices is None:
        lattices = build_lattices(
            pixels.to(probabilities.device),
            gaussian_sigma=gaussian_sigma if gaussian_weight else 0.0,
            bilateral_sigma=bilateral_sigma if bilateral_weight else 0.0,
            bilateral_colour_sigma=bilateral_colour_sigma,
        )
    weighted = zip(lattices, (gaussian_weight, bilateral_weight), strict=True)
    terms = [(lattice, weight) for lattice, weight in weighted if lattice is not None and weight]

    # Classes come in parts that bound the tables on the vertices, pixels in blocks that stay in the
    # cache of a CPU.
    values = probabilities.detach().float().flatten(1)
    width = max(1, LARGEST_TABLE // max([len(lattice.starts) for lattice, _ in terms], default=1))
    block = max(1, (2**17 if values.device.type == "cpu" else 2**25) // len(values))
    unaries = [part.clamp(1e-5, 1).T.contiguous().log_() for part in values.split(width)]
    marginals = [unary.clone() for unary in unaries]
    _normalise(marginals)
    for _ in range(steps):
        for unary, marginal in zip(unaries, marginals, strict=True):
            tables = [lattice.blurred(marginal).mul_(weight) for lattice, weight in terms]
            for first in range(0, len(unary), block):
                rows = slice(first, first + block)
                sums = [
                    lattice.sliced(table, rows)
                    for (lattice, _), table in zip(terms, tables, strict=True)
                ]
                logits = (
                    torch.add(unary[rows], sums[0], out=marginal[rows])
                    if sums
                    else marginal[rows].copy_(unary[rows])
                )
                for others in sums[1:]:
                    logits += others
                if marginal is marginals[-1]:
                    _normalise([part[rows] for part in marginals])
    result = torch.empty_like(values)
    for part, marginal in zip(result.split(width), marginals, strict=True):
        part.copy_(marginal.T)
    return result.view(probabilities.shape)


def _normalise(parts: list[Float[torch.Tensor, "pixel _"]]) -> None:
    """Replace logits by their softmax over the classes of all parts."""
    logits = torch.cat(parts, 1) if len(parts) > 1 else parts[0]
    if logits.device.type != "cpu" or not _normalise_few(logits):
        logits.copy_(logits.softmax(1))
    if len(parts) > 1:
        for part, values in zip(
            parts, logits.split([part.shape[1] for part in parts], 1), strict=True
        ):
            part.copy_(values)


def _normalise_few(logits: Float[torch.Tensor, "pixel class"]) -> bool:
    """Replace logits by their softmax and say so, unless sums of powers get too large or too small.

    On a CPU, torch's softmax of short rows takes ten times as long.
    """
    powers = logits.exp()
    sums = powers @ powers.new_ones(powers.shape[1], 1)
    low, high = sums.aminmax()
    safe = bool(low > 1e-30) and bool(high < 1e30)
    if safe:
        torch.mul(powers, sums.reciprocal_(), out=logits)
    return safe
