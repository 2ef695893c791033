"""What wrappers share that look through a window which moves over the image."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ovsskit.engine.stage import Wrapper
from ovsskit.engine.values import Image, Window

Byte = Annotated[float, Field(ge=0, le=255)]
Padding = Literal["around", "end"]


class Windows(Wrapper):
    """Say where windows lie; of all that lies over the image, the inner chain sees what they show.

    Windows start at multiples of the stride; the last of each row and column is moved back inside.
    Where a side of the image is shorter than the window, so are the windows.
    """

    neutral: ClassVar[dict[str, Any]] = {"window": 0}
    places: ClassVar[Literal["kept", "cut", "moved"]] = "cut"

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
                "windows whose sides are not multiples of this are padded, and their maps cut back"
            ),
        ),
    ] = 1
    padding: Annotated[
        Padding,
        Field(description="where windows are padded: evenly around, or at the bottom and right"),
    ] = "around"
    colour: Annotated[
        tuple[Byte, Byte, Byte],
        Field(
            description="red, green and blue of the padding, 0 to 255; what the network subtracts"
        ),
    ] = (122.771, 116.746, 104.094)

    def windows(self, image: Image) -> list[Window]:
        """Return the windows, row by row."""
        side = self.window or max(image.size)
        rows, columns = (spans(length, side, self.stride) for length in image.size)
        return [self._at(image.size, row, column) for row in rows for column in columns]

    def _at(self, size: tuple[int, int], row: slice, column: slice) -> Window:
        around = [
            margin
            for span in (row, column)
            for margin in margins(span.stop - span.start, self.multiple, self.padding)
        ]
        top, bottom, left, right = around
        return Window(size, row, column, (top, bottom, left, right), self.colour)


def margins(length: int, multiple: int, padding: Padding = "around") -> tuple[int, int]:
    """Return how many pixels are added before and after a side; of an odd number one more after."""
    missing = -length % multiple
    before = missing // 2 if padding == "around" else 0
    return before, missing - before


def spans(length: int, window: int, stride: int) -> list[slice]:
    """Return where the windows lie along a side of the image."""
    stride = min(stride, window)
    count = max(length - window + stride - 1, 0) // stride + 1
    starts = [max(min(index * stride, length - window), 0) for index in range(count)]
    return [slice(start, min(start + window, length)) for start in starts]
