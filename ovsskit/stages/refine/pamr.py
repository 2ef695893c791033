"""Let maps follow the image by averaging every pixel with those around it that look alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import Float, Int, torch
from ovsskit.engine.stage import S, Stage
from ovsskit.engine.values import Image

CACHE_BYTES = 2_000_000
"""Size of a cache for rows from a pixel's first neighbours to its last, maps side by side."""

FEWEST_MAPS = 16
"""With fewer maps side by side (in wide images), gathering is no faster and takes more memory."""

BLOCK_BYTES = 3_000_000
"""Size of the piece of maps that is shifted at a time: with its neighbours it fits a cache."""

GPU_BLOCK_BYTES = 256_000_000
"""The same where memory is wide and what costs is to start an operation."""

EPSILON = 1e-8


class Pamr(Stage, writes="scores"):
    """Replace every pixel by a mean of its neighbours, weighted by similar colour, repeatedly.

    The neighbours are the eight around a pixel at each distance of `dilations`; borders repeat. A
    neighbour's weight is the softmax, over all of them, of minus the difference in colour, in
    tenths of the local standard deviation, averaged over the channels. The pixel itself has no
    weight. Shifts and scales of a channel do not matter, so that it is the same whether an image is
    normalised for a network or not.
    Source: pixel-adaptive mask refinement (Araslanov & Roth 2020), with the settings of ITACLIP's
    released code; TCL's is inside its windows.

    Example:
        [[stage]]
        use = "pamr"
        steps = 5
        dilations = [1, 2, 4]
    """

    steps: Annotated[int, Field(ge=0, description="how often every pixel is replaced")] = 10
    dilations: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        Field(min_length=1, description="distances of the neighbours, in pixels"),
    ] = (8, 16)
    at: Annotated[
        Literal["maps", "image"],
        Field(
            description=(
                "size to work at: the image is brought to that of the `maps`, or the maps to the "
                "`image`'s"
            )
        ),
    ] = "maps"
    align: Annotated[
        Literal["corners", "edges"],
        Field(
            description=(
                "what coincides where the image is brought to the maps: the middles of their "
                "corner pixels (TCL), or their edges"
            )
        ),
    ] = "edges"

    def run(self, scores: S, image: Image) -> S:
        """Return the refined maps."""
        maps, photo = scores.data.float(), image.data  # steps would add up what half loses
        if maps.shape[1:] != photo.shape[1:]:
            resize = partial(torch.nn.functional.interpolate, mode="bilinear")
            if self.at == "maps":
                corners = self.align == "corners"
                photo = resize(photo[None], maps.shape[1:], align_corners=corners)[0]
            else:
                maps = resize(maps[None], photo.shape[1:], align_corners=True)[0]
        if not self.steps:
            return scores.with_data(maps.to(scores.data.dtype))
        found = refine(maps, affinity(photo, self.dilations), self.dilations, self.steps)
        return scores.with_data(found.to(scores.data.dtype))


def directions(dilations: Sequence[int]) -> list[tuple[int, int]]:
    """Return how far down and to the right each neighbour is."""
    sides = [(-dilation, 0, dilation) for dilation in dilations]
    return [(down, right) for steps in sides for down in steps for right in steps if down or right]


def neighbours(
    padded: Float[torch.Tensor, "channel h_padded w_padded"], dilations: Sequence[int]
) -> Iterator[Float[torch.Tensor, "channel h w"]]:
    """Yield views on maps with a border of the largest dilation, one for each direction.

    Each view holds the neighbours of all pixels in its direction.
    """
    reach = max(dilations)
    height, width = padded.shape[1] - 2 * reach, padded.shape[2] - 2 * reach
    for down, right in directions(dilations):
        yield padded[:, reach + down :, reach + right :][:, :height, :width]


def deviation(
    image: Float[torch.Tensor, "3 h w"], dilations: Sequence[int]
) -> Float[torch.Tensor, "3 h w"]:
    """Return the standard deviation over each pixel's neighbours and, per dilation, the pixel."""
    padded = pad(image, max(dilations))
    count = 9 * len(dilations)
    mean = image * len(dilations)
    for neighbour in neighbours(padded, dilations):
        mean += neighbour
    mean /= count
    squares = (image - mean).square() * len(dilations)
    for neighbour in neighbours(padded, dilations):
        squares += (neighbour - mean).square()
    return (squares / (count - 1)).sqrt()


def affinity(
    image: Float[torch.Tensor, "3 h w"], dilations: Sequence[int]
) -> Float[torch.Tensor, "neighbour h w"]:
    """Return the weight of each neighbour of each pixel; they sum to 1 over the neighbours."""
    scale = EPSILON + 0.1 * deviation(image, dilations)
    padded = pad(image, max(dilations))
    differences = [((image - one).abs() / scale).mean(0) for one in neighbours(padded, dilations)]
    return torch.stack(differences).neg_().softmax(0)


def refine(
    maps: Float[torch.Tensor, "class h w"],
    weights: Float[torch.Tensor, "neighbour h w"],
    dilations: Sequence[int],
    steps: int,
) -> Float[torch.Tensor, "class h w"]:
    """Return the maps after this many steps, a block of maps at a time."""
    size, is_on_cpu = maps[0].numel() * maps.element_size(), maps.device.type == "cpu"
    side_by_side = CACHE_BYTES // (maps.shape[2] * (2 * max(dilations) + 1) * maps.element_size())
    if is_on_cpu and side_by_side >= FEWEST_MAPS:
        return gather(maps, weights, dilations, steps, side_by_side)
    return shift(
        maps,
        weights,
        dilations,
        steps,
        max(1, (BLOCK_BYTES if is_on_cpu else GPU_BLOCK_BYTES) // size),
    )


def gather(
    maps: Float[torch.Tensor, "class h w"],
    weights: Float[torch.Tensor, "neighbour h w"],
    dilations: Sequence[int],
    steps: int,
    block: int,
) -> Float[torch.Tensor, "class h w"]:
    """Sum the neighbours of one pixel after another; a block's maps lie side by side in memory."""
    places = neighbour_places(maps.shape[1], maps.shape[2], dilations)
    weights = weights.flatten(1).T.to(maps.dtype).contiguous()
    refined = torch.empty_like(maps)
    for target, some in zip(refined.split(block), maps.split(block), strict=True):
        pixels = some.flatten(1).T.contiguous()
        for _ in range(steps):
            pixels = torch.nn.functional.embedding_bag(
                places, pixels, per_sample_weights=weights, mode="sum"
            )
        target.flatten(1).copy_(pixels.T)
    return refined


def neighbour_places(
    height: int, width: int, dilations: Sequence[int]
) -> Int[torch.Tensor, "pixel neighbour"]:
    """Return the numbers of each pixel's neighbours; pixels count row by row."""
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    places = [
        (rows + down).clamp(0, height - 1) * width + (columns + right).clamp(0, width - 1)
        for down, right in directions(dilations)
    ]
    return torch.stack([one.int().flatten() for one in places], 1)


def shift(
    maps: Float[torch.Tensor, "class h w"],
    weights: Float[torch.Tensor, "neighbour h w"],
    dilations: Sequence[int],
    steps: int,
    block: int,
) -> Float[torch.Tensor, "class h w"]:
    """Shift all maps of a block at once, and add up in place, one neighbour after another."""
    refined = torch.empty_like(maps)
    for target, some in zip(refined.split(block), maps.split(block), strict=True):
        target.copy_(some)
        for _ in range(steps):
            padded = pad(target, max(dilations))
            target.zero_()
            for weight, neighbour in zip(weights, neighbours(padded, dilations), strict=True):
                target.addcmul_(weight, neighbour)
    return refined


def pad(
    maps: Float[torch.Tensor, "channel h w"], width: int
) -> Float[torch.Tensor, "channel h_padded w_padded"]:
    """Repeat the borders this many times."""
    return torch.nn.functional.pad(maps, (width, width, width, width), mode="replicate")
