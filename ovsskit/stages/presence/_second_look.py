"""Look again at what an image shows of a class: the second half of TagCLIP's tagger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ovsskit._lazy import Bool, Float, torch
from ovsskit.engine.values import Image, TextFeatures
from ovsskit.errors import BadValue
from ovsskit.ops.boxes import rectangle_of, scale

HALF = 0.5
"""Share of a map's range above which a patch belongs to what is looked at again."""
EmptyBox = Literal["skip", "stop"]


@dataclass(frozen=True)
class Look:
    """Hold a part of an image that is looked at again, and for which text."""

    text: int
    crop: Image
    region: Bool[torch.Tensor, "rows cols"]

    def sure(
        self, vector: Float[torch.Tensor, " width"], texts: TextFeatures, scale: float
    ) -> Float[torch.Tensor, ""]:
        """Return the probability, among all texts, of the one that was looked at.

        Args:
            vector: what the image encoder made of the part.
            texts: their vectors, of all words.
            scale: what cosines are multiplied by.
        """
        unit = torch.nn.functional.normalize(vector.float(), dim=0)
        words = torch.nn.functional.normalize(texts.data.float(), dim=-1)
        return (scale * (words @ unit)).softmax(0)[self.text]


def look_again(
    image: Image,
    maps: Float[torch.Tensor, "text rows cols"],
    labels: tuple[int, ...],
    fraction: float,
    empty_box: EmptyBox,
) -> Iterator[Look]:
    """Yield a look for each class whose best patch is above a fraction of the range of all maps.

    The rows and columns of patches divide the image's sides. What is looked at is a box around the
    patches in the upper half of the class's own range.
    """
    height, width = (side // count for side, count in zip(image.size, maps.shape[1:], strict=True))
    *highest, least = torch.cat([maps.amax((1, 2)), above(maps, fraction)[None]]).tolist()
    regions = scale(maps) > HALF
    seen = regions.cpu()
    for text, label in enumerate(labels):
        if label < 1 or highest[text] <= least:
            continue
        tall, wide = rectangle_of(seen[text])
        if tall.stop <= tall.start or wide.stop <= wide.start:
            if empty_box == "stop":
                return
            continue
        crop = image.data[
            :, tall.start * height : tall.stop * height, wide.start * width : wide.stop * width
        ]
        yield Look(text, Image(crop, image.name), regions[text, tall, wide])


def refuse_other_image(address: str, image: Image, grid: tuple[int, int]) -> None:
    """Refuse an image that is not made of these rows and columns of patches.

    Raises:
        BadValue: they are not parts of it.
    """
    rows, columns = grid
    if image.size[0] % rows or image.size[1] % columns:
        what = (
            f"{address} reads an image of {image.size[1]} x {image.size[0]} pixels, and "
            f"scores of {columns} x {rows} patches, which do not divide it evenly."
        )
        fix = 'Stretch it first, and read that: reads = { image = "resized" }.'
        raise BadValue(what, fix=fix)


def above(values: Float[torch.Tensor, "*places"], fraction: float) -> Float[torch.Tensor, ""]:
    """Return the value at a fraction of the range of all values."""
    low, high = values.aminmax()
    return low + fraction * (high - low)
