"""The capability to say which patches belong together, its laws, and a toy that has it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, get_args

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import WIDTH, brightness
from ovsskit.engine.stage import Capability
from ovsskit.engine.values import GuideFeatures, Image
from ovsskit.engine.values.features import on_grid

Facet = Literal["token", "query", "key", "value", "query_key"]
"""What of a patch guides: what leaves the network, or what the last block makes of it."""


class GuidesPatches(Capability):
    """Give every patch a vector that says which others it belongs to."""

    @abstractmethod
    def guide(self, images: Sequence[Image], facet: Facet) -> list[GuideFeatures]:
        """Return the features of the patches of each image, on the model's own grid.

        `token` is what leaves the last block, normalised as the model does. Queries, keys and
        values are those of the last block, before positions are turned into them, with the heads
        side by side; `query_key` is the sum of the first two. An image keeps its size, unless the
        model has one of its own; it is normalised as the model was trained.
        """

    @classmethod
    def check(cls, model: Any) -> None:
        """Test that all facets are on one grid, and that images are independent."""
        image = Image.example()
        images = [image, Image(Image.example(7).data.repeat(1, 2, 2)), image]
        for facet in get_args(Facet):
            found = model.guide(images, facet)
            [alone] = model.guide(images[1:2], facet)
            torch.testing.assert_close(alone.data, found[1].data, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(found[0].data, found[2].data, atol=1e-4, rtol=1e-4)
            tokens = model.guide(images, "token")
            assert [one.grid for one in found] == [one.grid for one in tokens]
            assert not found[0].data.requires_grad
            for one in found:
                GuideFeatures.check(one)

    @classmethod
    def toy(cls) -> Any:
        """Return a model whose patches are their brightness."""
        return ToyGuidesPatches()


def facet_of(
    parts: Sequence[Float[torch.Tensor, "head token depth"]], facet: Facet
) -> Float[torch.Tensor, "token width"]:
    """Return queries, keys, values, or the sum of the first two, with the heads side by side."""
    queries, keys, values = (part.transpose(0, 1).flatten(1) for part in parts)
    return {"query": queries, "key": keys, "value": values, "query_key": queries + keys}[facet]


class ToyGuidesPatches(GuidesPatches):
    """Guide by the brightness of patches."""

    def guide(self, images: Sequence[Image], facet: Facet) -> list[GuideFeatures]:
        """Make waves of the brightness of patches, other ones for every facet."""
        start = get_args(Facet).index(facet) + 1
        found = []
        for image in images:
            bright = brightness(image.data)
            waves = torch.arange(start, start + WIDTH, device=bright.device)
            vectors = (bright.flatten()[:, None] * waves * 5).sin()
            found.append(GuideFeatures(on_grid(vectors, (bright.shape[0], bright.shape[1]))))
        return found
