"""The capability to turn an image into a vector, its laws, and a toy that has it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import WIDTH
from ovsskit.engine.model._vectors import check_vectors
from ovsskit.engine.stage import Capability
from ovsskit.engine.values import Image


class EncodesImage(Capability):
    """Give a vector for a whole image, to compare with those of texts."""

    @abstractmethod
    def encode_image(self, images: Sequence[Image]) -> Float[torch.Tensor, "image width"]:
        """Return one vector per image, as the image encoder projects it, not normalised."""

    @classmethod
    def check(cls, model: Any) -> None:
        """Test that images get finite vectors without a graph, the same alone as among others."""
        check_vectors(model.encode_image, [Image.example(seed) for seed in (0, 7)])

    @classmethod
    def toy(cls) -> Any:
        """Return a model that sees brightness."""
        return ToyEncodesImage()


class ToyEncodesImage(EncodesImage):
    """Encode images by their brightness."""

    def encode_image(self, images: Sequence[Image]) -> Float[torch.Tensor, "image width"]:
        """Make a vector of the brightness of an image."""
        places = torch.arange(1, WIDTH + 1, device=images[0].data.device)
        return torch.stack([(places * image.data.mean() * 7).cos() for image in images])
