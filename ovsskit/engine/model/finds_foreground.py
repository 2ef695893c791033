"""The capability to tell things from what is around them, its laws, and a toy that has it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ovsskit._lazy import torch
from ovsskit.engine.stage import Capability
from ovsskit.engine.values import ForegroundMap, Image


class FindsForeground(Capability):
    """Give every pixel how surely it belongs to a thing, whichever it is."""

    @abstractmethod
    def find_foreground(self, images: Sequence[Image]) -> list[ForegroundMap]:
        """Return a map for every image, at its size."""

    @classmethod
    def check(cls, model: Any) -> None:
        """Test that maps have the size of their images, and that images are independent."""
        images = [Image.example(seed) for seed in (0, 7)]
        images.append(Image(images[0].data.repeat(1, 1, 2)))
        for image, found in zip(images, model.find_foreground(images), strict=True):
            ForegroundMap.check(found)
            assert found.data.shape == image.size
            assert not found.data.requires_grad
            [alone] = model.find_foreground([image])
            torch.testing.assert_close(alone.data, found.data, atol=1e-4, rtol=1e-4)

    @classmethod
    def toy(cls) -> Any:
        """Return a model to whom bright pixels are things."""
        return ToyFindsForeground()


class ToyFindsForeground(FindsForeground):
    """Take bright pixels for things."""

    def find_foreground(self, images: Sequence[Image]) -> list[ForegroundMap]:
        """Return the brightness of images."""
        return [ForegroundMap(image.data.mean(0)) for image in images]
