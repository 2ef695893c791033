"""The capability to group the patches of an image, its laws, and a toy that has it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ovsskit._lazy import torch
from ovsskit.engine.examples import WIDTH, brightness
from ovsskit.engine.stage import Capability
from ovsskit.engine.values import Groups, Image


class GroupsPatches(Capability):
    """Put the patches of an image into groups, each with a vector among the texts."""

    @abstractmethod
    def group_patches(self, images: Sequence[Image]) -> list[Groups]:
        """Return the groups of every image; images keep their size."""

    @classmethod
    def check(cls, model: Any) -> None:
        """Test that groups are the same for an image alone as among others."""
        images = [Image.example(seed) for seed in (0, 7)]
        images.append(Image(images[0].data.repeat(1, 1, 2)))
        for image, found in zip(images, model.group_patches(images), strict=True):
            Groups.check(found)
            [alone] = model.group_patches([image])
            for one, other in (
                (found.assignment, alone.assignment),
                (found.features, alone.features),
                (found.image, alone.image),
            ):
                assert not one.requires_grad
                torch.testing.assert_close(other, one, atol=1e-4, rtol=1e-4)

    @classmethod
    def toy(cls) -> Any:
        """Return a model that groups patches by their brightness."""
        return ToyGroupsPatches()


class ToyGroupsPatches(GroupsPatches):
    """Group patches by their brightness: dark, grey and bright."""

    def group_patches(self, images: Sequence[Image]) -> list[Groups]:
        """Return three groups, with vectors of the brightness that they stand for."""
        return [self._group(image) for image in images]

    def _group(self, image: Image) -> Groups:
        bright = brightness(image.data)
        middles = torch.tensor([0.2, 0.5, 0.8], device=bright.device)
        places = torch.arange(1, WIDTH + 1, device=bright.device)
        assignment = (-20 * (bright - middles[:, None, None]).abs()).softmax(0)
        features = (places * middles[:, None] * 7).cos()
        return Groups(assignment, features, (places * bright.mean() * 7).cos(), 20.0)
