"""The capability to give a vector for every patch, its laws, and a toy that has it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ovsskit._lazy import torch
from ovsskit.engine.examples import WIDTH, brightness
from ovsskit.engine.stage import Capability
from ovsskit.engine.values import Image, PatchFeatures


class DescribesPatches(Capability):
    """Give a vector for every patch of an image."""

    @abstractmethod
    def describe_patches(self, images: Sequence[Image]) -> list[PatchFeatures]:
        """Return vectors on the grid of the patches, not normalised; images keep their size."""

    @classmethod
    def check(cls, model: Any) -> None:
        """Test that an image gets the same alone as among others of unlike sizes."""
        images = [Image.example(seed) for seed in (0, 7)]
        images.append(Image(images[0].data.repeat(1, 1, 2)))
        for image, found in zip(images, model.describe_patches(images), strict=True):
            PatchFeatures.check(found)
            assert not found.data.requires_grad
            [alone] = model.describe_patches([image])
            torch.testing.assert_close(alone.data, found.data, atol=1e-4, rtol=1e-4)

    @classmethod
    def toy(cls) -> Any:
        """Return a model whose patches are their brightness."""
        return ToyDescribesPatches()


class ToyDescribesPatches(DescribesPatches):
    """Describe patches by their brightness."""

    def describe_patches(self, images: Sequence[Image]) -> list[PatchFeatures]:
        """Make vectors of the brightness of patches."""
        places = torch.arange(1, WIDTH + 1, device=images[0].data.device)[:, None, None]
        return [PatchFeatures((places * brightness(image.data) * 7).cos()) for image in images]
