"""The value of an image."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ovsskit._lazy import Bool, Float, UInt8, torch
from ovsskit.engine.examples import SIZE, uniform
from ovsskit.engine.sending import send_numbers
from ovsskit.engine.values.spatial import Spatial, Window
from ovsskit.errors import BadValue


@dataclass(frozen=True, eq=False)
class Image(Spatial):
    """Hold an image: colours from 0 to 1, its name, and the patches that no model shall see.

    `notes` say how numbers became colours where that is not plain; they do not distinguish values.
    """

    data: Float[torch.Tensor, "3 h w"]
    name: str = ""
    hidden: Bool[torch.Tensor, "rows cols"] | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def example(cls, seed: int = 0) -> Image:
        """Return noise."""
        return cls((uniform(seed + 2, 3, *SIZE) * 255).round() / 255, f"image{seed}")

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width in pixels."""
        return self.data.shape[1], self.data.shape[2]

    @property
    def pixels(self) -> UInt8[torch.Tensor, "h w 3"]:
        """Return the image as bytes, as it was decoded."""
        return torch.stack((self.data * 255).round().to(torch.uint8).unbind(), -1)

    def hide(self, patches: Bool[torch.Tensor, "rows cols"]) -> Image:
        """Return the image with these patches of the model's grid hidden."""
        return replace(self, hidden=patches)

    def crop(self, window: Window) -> Image:
        """Return what a window shows; the image itself, with what is hidden, if that is all.

        Raises:
            BadValue: the window is one of an image of another size.
        """
        if window.size != self.size:
            sizes = [f"{width} x {height}" for height, width in (self.size, window.size)]
            what = f"An image of {sizes[0]} pixels is read in windows of an image of {sizes[1]}."
            raise BadValue(what, fix="Resize it like the other, or read the other one inside.")
        if window.is_whole:
            return self
        data = self.data[:, window.row, window.column]
        top, bottom, left, right = window.margins
        if any(window.margins):
            colour = send_numbers(window.colour, data)[:, None, None] / 255
            data = torch.nn.functional.pad(data - colour, (left, right, top, bottom)) + colour
        return replace(self, data=data, hidden=None)
