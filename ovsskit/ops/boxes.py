"""Find the rectangles around what is hot in a map.

Source: TagCLIP and CLIP-ES, released code (linyq2117/TagCLIP c32b640), which find contours with
OpenCV and take each one's rectangle: that is the rectangle of an 8-connected component, since what
lies in its holes lies in its rectangle, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from ovsskit._lazy import Bool, Float, torch
from ovsskit.engine.sending import send

Rectangle = tuple[slice, slice]
"""Rows and columns."""

BYTE = 255


def hot_places(
    scaled: Float[torch.Tensor, "map rows cols"], at: Sequence[float]
) -> Bool[torch.Tensor, "map rows cols"]:
    """Return where maps from 0 to 1, in bytes, are above a share of their highest byte.

    The processor finds them, which looks for the boxes around them next.
    """
    bytes_ = (scaled * BYTE).to(torch.uint8).cpu()
    least = [
        int(share * highest)
        for share, highest in zip(at, bytes_.amax((1, 2)).tolist(), strict=True)
    ]
    return bytes_ > torch.tensor(least)[:, None, None]


def rectangle_of(hot: Bool[torch.Tensor, "rows cols"]) -> Rectangle:
    """Return the rectangle around all that is hot; it is empty where nothing is.

    The last row and the last column of the map never belong to it, as released.
    """
    rows, columns = (hot.any(axis).nonzero()[:, 0].tolist() for axis in (1, 0))
    if not rows:
        return slice(0, 0), slice(0, 0)
    return (
        slice(rows[0], min(rows[-1] + 1, hot.shape[0] - 1)),
        slice(columns[0], min(columns[-1] + 1, hot.shape[1] - 1)),
    )


def rectangles(hot: Bool[torch.Tensor, "rows cols"]) -> list[Rectangle]:
    """Return the rectangle around each part of what is hot; places that touch at a corner are one.

    The last row and the last column of the map never belong to one, as released.
    """
    from scipy import ndimage

    parts, _ = ndimage.label(hot.numpy(), structure=torch.ones(3, 3).numpy())
    last_row, last_column = (side - 1 for side in hot.shape)
    return [
        (
            slice(rows.start, min(rows.stop, last_row)),
            slice(columns.start, min(columns.stop, last_column)),
        )
        for rows, columns in ndimage.find_objects(parts)
    ]


def inside_boxes(
    scaled: Float[torch.Tensor, "map rows cols"], at: Sequence[float]
) -> Bool[torch.Tensor, "map rows cols"]:
    """Return which places lie in a rectangle around a part of a map that is hot.

    Args:
        scaled: maps from 0 to 1.
        at: of each map the share of its highest value above which a place is hot.
    """
    hot = hot_places(scaled, at)
    inside = torch.zeros_like(hot)
    for places, mine in zip(hot, inside, strict=True):
        for box in rectangles(places):
            mine[box] = True
    return send(inside, scaled.device)


def scale(
    maps: Float[torch.Tensor, "*batch rows cols"], epsilon: float = 0.0
) -> Float[torch.Tensor, "*batch rows cols"]:
    """Return each map less its lowest value, divided by the highest of that and `epsilon`.

    A constant map becomes zero.
    """
    above = maps - maps.amin((-2, -1), keepdim=True)
    highest = above.amax((-2, -1), keepdim=True) + epsilon
    return torch.where(highest > 0, above / highest, torch.zeros_like(above))
