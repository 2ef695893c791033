"""The capability to turn a part of an image into a vector, its laws, and a toy that has it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ovsskit._lazy import Bool, Float, torch
from ovsskit.engine.examples import GRID, WIDTH, brightness
from ovsskit.engine.model.encodes_image import EncodesImage, ToyEncodesImage
from ovsskit.engine.values import Image


class EncodesRegions(EncodesImage):
    """Give a vector for what an image shows in some of its places, to compare with those of texts.

    All patches are inside the network, and know their surroundings; the image's own token, which
    becomes the vector, takes in those of the region alone.
    """

    @abstractmethod
    def encode_regions(
        self, images: Sequence[Image], regions: Sequence[Bool[torch.Tensor, "_ _"]]
    ) -> Float[torch.Tensor, "image width"]:
        """Return one vector per image, as the image encoder projects it, not normalised.

        Images and their regions may have any size: images are resized bilinearly to the size of the
        training, and regions by nearest neighbour to the grid of patches.
        """

    @classmethod
    def check(cls, model: Any) -> None:
        """Test that each is the same alone as among others, and that the region counts."""
        images = [Image.example(seed) for seed in (0, 7)]
        regions = [torch.arange(12).view(3, 4) < 6, torch.ones(2, 2, dtype=torch.bool)]
        together = model.encode_regions(images, regions)
        assert together.shape == model.encode_image(images).shape
        assert not together.requires_grad
        for vector, image, region in zip(together, images, regions, strict=True):
            [alone] = model.encode_regions([image], [region])
            torch.testing.assert_close(alone, vector, atol=1e-5, rtol=1e-4)
        [other] = model.encode_regions(images[:1], [~regions[0]])
        assert not torch.allclose(other, together[0], atol=1e-6), "the region does not count"

    @classmethod
    def toy(cls) -> Any:
        """Return a model that sees brightness."""
        return ToyEncodesRegions()


class ToyEncodesRegions(ToyEncodesImage, EncodesRegions):
    """Encode parts of images by their brightness."""

    def encode_regions(
        self, images: Sequence[Image], regions: Sequence[Bool[torch.Tensor, "_ _"]]
    ) -> Float[torch.Tensor, "image width"]:
        """Make a vector of the brightness of a region."""
        places = torch.arange(1, WIDTH + 1, device=images[0].data.device)
        vectors = []
        for image, region in zip(images, regions, strict=True):
            seen = torch.nn.functional.interpolate(region[None, None].float(), GRID)[0, 0]
            vectors.append((places * (brightness(image.data) * seen).mean() * 7).cos())
        return torch.stack(vectors)
