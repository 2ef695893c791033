"""The value of an image."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ovsskit._lazy import Bool, Float, UInt8, torch
from ovsskit.engine.examples import SIZE, uniform
from ovsskit.engine.values.value import Value


@dataclass(frozen=True, eq=False)
class Image(Value):
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
