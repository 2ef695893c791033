"""Look at an image through a window that moves over it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.sending import send_numbers
from ovsskit.engine.stage import S, Wrapper, Wraps
from ovsskit.engine.values import Image

Byte = Annotated[float, Field(ge=0, le=255)]


class SlidingWindow(Wrapper, writes="scores"):
    """Run the inner chain on overlapping squares of the image, enlarge their maps, and average.

    Windows start at multiples of the stride; the last of each row and column is moved back inside.
    Where a side of the image is shorter than the window, so are the windows. Maps are enlarged
    edges on edges, one window at a time, also those of an image in one piece. Patches of the image
    that are hidden are hidden in a window only if it shows all of it.
    Source: ITACLIP, released code, whose grid is that of MMSegmentation; padding: ClearCLIP,
    released code; in one piece: NACLIP, released code.

    Example:
        [[stage]]
        use = "sliding_window"
        window = 224
        stride = 112
          [[stage.inner]]
          use = "encode_hidden"
    """

    version: ClassVar[int] = 2
    neutral: ClassVar[dict[str, Any]] = {"window": 0}

    window: Annotated[
        int, Field(ge=0, description="side of the window, in pixels; 0: the image in one piece")
    ] = 224
    stride: Annotated[
        int,
        Field(
            ge=1,
            description=(
                "distance from one window to the next, in pixels; at most the window's side"
            ),
        ),
    ] = 112
    multiple: Annotated[
        int,
        Field(
            ge=1,
            description=(
                "windows whose sides are not multiples of this are padded evenly, and their maps "
                "cut back"
            ),
        ),
    ] = 1
    colour: Annotated[
        tuple[Byte, Byte, Byte],
        Field(
            description="red, green and blue of the padding, 0 to 255; what the network subtracts"
        ),
    ] = (122.771, 116.746, 104.094)

    def run(self, image: Image) -> Wraps[S]:
        """Return the mean of the windows' maps, at the size of the image."""
        window = self.window or max(image.size)
        rows, columns = (spans(length, window, self.stride) for length in image.size)
        boxes = [(row, column) for row in rows for column in columns]
        outs = yield [{"image": self.crop(image, row, column)} for row, column in boxes]
        scores: S = outs[0]["scores"]
        total = scores.data.new_zeros(len(scores.data), *image.size)
        count = total.new_zeros(image.size)
        for (row, column), out in zip(boxes, outs, strict=True):
            target = total[:, row, column]
            count[row, column] += 1
            top, bottom, left, right = (
                margin for side in target.shape[1:] for margin in margins(side, self.multiple)
            )
            size = (top + target.shape[1] + bottom, left + target.shape[2] + right)
            maps = torch.nn.functional.interpolate(out["scores"].data[None], size, mode="bilinear")[
                0
            ]
            target += maps[:, top : size[0] - bottom, left : size[1] - right]
        return scores.with_data(total.div_(count))

    def crop(self, image: Image, row: slice, column: slice) -> Image:
        """Return what a window shows; the image itself if it is the whole, without padding."""
        window = image.data[:, row, column]
        data = self.pad(window)
        if data is window and window.shape == image.data.shape:
            return image
        return replace(image, data=data, hidden=None)

    def pad(self, crop: Float[torch.Tensor, "3 h w"]) -> Float[torch.Tensor, "3 h_padded w_padded"]:
        """Add rows and columns of the colour around a window, unless its sides are multiples."""
        top, bottom, left, right = (
            margin for side in crop.shape[1:] for margin in margins(side, self.multiple)
        )
        if not bottom and not right:
            return crop
        colour = send_numbers(self.colour, crop)[:, None, None] / 255
        return torch.nn.functional.pad(crop - colour, (left, right, top, bottom)) + colour


def margins(length: int, multiple: int) -> tuple[int, int]:
    """Return how many pixels are added before and after a side; of an odd number one more after."""
    missing = -length % multiple
    return missing // 2, missing - missing // 2


def spans(length: int, window: int, stride: int) -> list[slice]:
    """Return where the windows lie along a side of the image."""
    stride = min(stride, window)
    count = max(length - window + stride - 1, 0) // stride + 1
    starts = [max(min(index * stride, length - window), 0) for index in range(count)]
    return [slice(start, min(start + window, length)) for start in starts]
