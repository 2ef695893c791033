"""The capability to give every patch logits of classes, its laws, and a toy that has it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import WIDTH, brightness
from ovsskit.engine.stage import Capability
from ovsskit.engine.values import Image, PatchFeatures


class DecodesPatches(Capability):
    """Give every patch logits of classes, and the features that it has before words are read."""

    @abstractmethod
    def decode_patches(
        self, images: Sequence[Image], names: Sequence[Sequence[str]]
    ) -> list[Float[torch.Tensor, "class rows cols"]]:
        """Return, for every image, one map of logits for each of its class names."""

    @abstractmethod
    def trunk_features(self, images: Sequence[Image]) -> list[PatchFeatures]:
        """Return, for every image, what the patch trunk sees."""

    @classmethod
    def check(cls, model: Any) -> None:
        """Test that every name of every image gets a map, and that images are independent."""
        images = [Image.example(seed) for seed in (0, 7)]
        names = [("dog", "grass", "ice cream"), ("grass", "dog")]
        both = model.decode_patches(images, names)
        features = model.trunk_features(images)
        for maps, mine, one in zip(both, names, features, strict=True):
            PatchFeatures.check(one)
            assert maps.shape == (len(mine), *one.data.shape[1:])
            assert not maps.requires_grad
        [alone] = model.decode_patches(images[1:], names[1:])
        torch.testing.assert_close(alone, both[1], atol=1e-4, rtol=1e-4)
        [seen] = model.trunk_features(images[1:])
        torch.testing.assert_close(seen.data, features[1].data, atol=1e-4, rtol=1e-4)

    @classmethod
    def toy(cls) -> Any:
        """Return a model that decodes by brightness."""
        return ToyDecodesPatches()


class ToyDecodesPatches(DecodesPatches):
    """Score classes by the brightness of patches and the letters of names."""

    def decode_patches(
        self, images: Sequence[Image], names: Sequence[Sequence[str]]
    ) -> list[Float[torch.Tensor, "class rows cols"]]:
        """Score a class by the brightness of a patch and the letters of the name."""
        found = []
        for image, mine in zip(images, names, strict=True):
            waves = image.data.new_tensor([sum(map(ord, name)) % 13 + 1.0 for name in mine])
            found.append((waves[:, None, None] * brightness(image.data) * 5).sin())
        return found

    def trunk_features(self, images: Sequence[Image]) -> list[PatchFeatures]:
        """Make features of the brightness of patches."""
        waves = torch.arange(1.0, WIDTH + 1)[:, None, None] * 5
        return [
            PatchFeatures((waves.to(image.data) * brightness(image.data)).sin()) for image in images
        ]
