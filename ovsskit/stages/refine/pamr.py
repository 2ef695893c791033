"""Let maps follow the picture by averaging every pixel with those around it that look alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from ovsskit.lazy import Float, torch
from ovsskit.stage import S, Stage
from ovsskit.values import Image

BLOCK_BYTES = 3_000_000
"""Size of the piece of maps that is refined at a time: it and its neighbours stay in a processor's cache."""

GPU_BLOCK_BYTES = 256_000_000
"""The same where memory is wide and what costs is to start an operation."""

EPSILON = 1e-8


class Pamr(Stage, writes="scores"):
    """Replace every pixel of every map, again and again, by a mean of its neighbours, weighed by how alike they look.

    The neighbours are the eight around a pixel at each distance of `dilations`; borders repeat. A neighbour's weight is
    the softmax, over all of them, of minus the difference in colour, in tenths of the local standard deviation, averaged
    over the channels. The pixel itself has no weight. Shifts and scales of a channel do not matter, so that it is the
    same whether a picture is normalised for a network or not.
    Source: pixel-adaptive mask refinement (Araslanov & Roth 2020), with the settings of ITACLIP's released code.
    """

    steps: Annotated[int, Field(ge=0, description="how often every pixel is replaced")] = 10
    dilations: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, description="distances of the neighbours, in pixels")
    ] = (8, 16)
    at: Annotated[
        Literal["maps", "picture"],
        Field(description="size to work at: the picture is brought to that of the `maps`, or the maps to the `picture`'s"),
    ] = "maps"

    def run(self, scores: S, image: Image) -> S:
        """Return the refined maps."""
        maps, picture = scores.data, image.data
        if maps.shape[1:] != picture.shape[1:] and self.at == "maps":
            picture = torch.nn.functional.interpolate(picture[None], maps.shape[1:], mode="bilinear")[0]
        elif maps.shape[1:] != picture.shape[1:]:
            maps = torch.nn.functional.interpolate(maps[None], picture.shape[1:], mode="bilinear", align_corners=True)[0]
        if not self.steps:
            return scores.with_data(maps)
        return scores.with_data(refine(maps, affinity(picture, self.dilations), self.dilations, self.steps))


def neighbours(
    padded: Float[torch.Tensor, "channel h_padded w_padded"], dilations: Sequence[int]
) -> Iterator[Float[torch.Tensor, "channel h w"]]:
    """Yield views on maps with a border of the largest dilation: all pixels' neighbours in one direction after another."""
    reach = max(dilations)
    height, width = padded.shape[1] - 2 * reach, padded.shape[2] - 2 * reach
    for dilation in dilations:
        steps = (-dilation, 0, dilation)
        for down, right in ((down, right) for down in steps for right in steps if down or right):
            yield padded[:, reach + down :, reach + right :][:, :height, :width]


def deviation(picture: Float[torch.Tensor, "3 h w"], dilations: Sequence[int]) -> Float[torch.Tensor, "3 h w"]:
    """Return the standard deviation over each pixel's neighbours and, once for every dilation, the pixel itself."""
    padded = pad(picture, max(dilations))
    count = 9 * len(dilations)
    mean = picture * len(dilations)
    for neighbour in neighbours(padded, dilations):
        mean += neighbour
    mean /= count
    squares = (picture - mean).square() * len(dilations)
    for neighbour in neighbours(padded, dilations):
        squares += (neighbour - mean).square()
    return (squares / (count - 1)).sqrt()


def affinity(picture: Float[torch.Tensor, "3 h w"], dilations: Sequence[int]) -> Float[torch.Tensor, "neighbour h w"]:
    """Return the weight of each neighbour of each pixel; they sum to 1 over the neighbours."""
    scale = EPSILON + 0.1 * deviation(picture, dilations)
    padded = pad(picture, max(dilations))
    differences = [((picture - one).abs() / scale).mean(0) for one in neighbours(padded, dilations)]
    return torch.stack(differences).neg_().softmax(0)


def refine(
    maps: Float[torch.Tensor, "class h w"], weights: Float[torch.Tensor, "neighbour h w"], dilations: Sequence[int], steps: int
) -> Float[torch.Tensor, "class h w"]:
    """Return the maps after so many steps, block of maps by block, each neighbour added up in place."""
    size = BLOCK_BYTES if maps.device.type == "cpu" else GPU_BLOCK_BYTES
    block = max(1, size // (maps[0].numel() * maps.element_size()))
    refined = torch.empty_like(maps)
    for start in range(0, len(maps), block):
        target = refined[start : start + block]
        target.copy_(maps[start : start + block])
        for _ in range(steps):
            padded = pad(target, max(dilations))
            target.zero_()
            for weight, neighbour in zip(weights, neighbours(padded, dilations), strict=True):
                target.addcmul_(weight, neighbour)
    return refined


def pad(maps: Float[torch.Tensor, "channel h w"], width: int) -> Float[torch.Tensor, "channel h_padded w_padded"]:
    """Repeat the borders so many times."""
    return torch.nn.functional.pad(maps, (width, width, width, width), mode="replicate")
