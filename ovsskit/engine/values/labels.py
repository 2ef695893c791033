"""The value of the class of every pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ovsskit._lazy import Int, torch
from ovsskit.engine.values.scores import Saliency
from ovsskit.engine.values.spatial import Spatial, Window


@dataclass(frozen=True, eq=False)
class Labels(Spatial):
    """Hold the id (`Vocabulary.ids`) of the class of every pixel."""

    ids: Int[torch.Tensor, "h w"]

    @classmethod
    def example(cls, seed: int = 0) -> Labels:
        """Return the class of the highest example score of every pixel."""
        return cls(Saliency.example(seed).data.argmax(0) + 1)

    def crop(self, window: Window) -> Labels:
        """Return what a window shows; margins are of the class 0.

        Raises:
            BadValue: the window is one of an image of another size.
        """
        return self if window.is_whole else replace(self, ids=window.cut(self.ids))
