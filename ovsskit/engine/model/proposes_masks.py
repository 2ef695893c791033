"""The capability to propose masks of what an image shows, its laws, and a toy that has it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ovsskit.engine.stage import Capability
from ovsskit.engine.values import Image, Masks


class ProposesMasks(Capability):
    """Propose masks of what an image shows, whatever it is; they may overlap and leave gaps."""

    @abstractmethod
    def propose_masks(self, images: Sequence[Image]) -> list[Masks]:
        """Return the masks of every image, at its size."""

    @classmethod
    def check(cls, model: Any) -> None:
        """Test that masks have the size of their images, and that images are independent."""
        images = [Image.example(seed) for seed in (0, 7)]
        images.append(Image(images[0].data.repeat(1, 1, 2)))
        for image, found in zip(images, model.propose_masks(images), strict=True):
            Masks.check(found)
            assert found.data.shape[1:] == image.size
            assert not found.scores.requires_grad
            [alone] = model.propose_masks([image])
            assert alone.data.shape == found.data.shape, "their number depends on other images"
            same = (alone.data == found.data).float().mean((1, 2))
            assert (same > 0.99).all(), "they depend on other images"

    @classmethod
    def toy(cls) -> Any:
        """Return a model to which what is brighter than something is a mask."""
        return ToyProposesMasks()


class ToyProposesMasks(ProposesMasks):
    """Propose what is brighter than several thresholds."""

    def propose_masks(self, images: Sequence[Image]) -> list[Masks]:
        """Return the pixels that are brighter than parts of the brightest."""
        found = []
        for image in images:
            bright = image.data.mean(0)
            parts = bright.new_tensor([0.4, 0.6, 0.8])
            found.append(Masks(bright >= parts[:, None, None] * bright.max(), parts))
        return found
