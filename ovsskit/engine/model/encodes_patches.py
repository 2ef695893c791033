"""The capability to finish any attention of patches, its laws, and a toy that has it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.engine.model.encodes_tokens import EncodesTokens, ToyEncodesTokens
from ovsskit.engine.stage import Capability
from ovsskit.engine.values import Attention, Hidden, Image, PatchFeatures


class EncodesPatches(EncodesTokens, Capability):
    """Give the tokens inside an image encoder, and bring them to the end by any attention."""

    @abstractmethod
    def join_heads(
        self, layer: int, vectors: Float[torch.Tensor, "head token depth"]
    ) -> Float[torch.Tensor, "token width"]:
        """Put the heads' vectors together, and project them as a block projects what it gathers."""

    @abstractmethod
    def finish(
        self, hidden: Hidden, attention: Attention, *, residual: bool, feed_forward: bool
    ) -> PatchFeatures:
        """Add up the attended values of the blocks, and project patches into the space of texts.

        With `residual` the sum starts from the tokens that enter the first of these blocks, else
        from zero. With `feed_forward` the last block's second half follows.
        """

    @classmethod
    def check(cls, model: Any) -> None:
        """Test the shapes of what comes of the last two blocks, for images of unlike sizes."""
        image = Image.example()
        images = [image, Image(image.data.repeat(1, 1, 2))]
        layers = (model.block_count - 1, model.block_count)
        for hidden in model.hidden(images, layers):
            rows, columns = hidden.grid
            for layer in layers:
                joined = model.join_heads(layer, model.project(hidden, layer)[1])
                assert joined.shape == hidden.entering(layer).shape
            itself = torch.eye(1 + rows * columns).expand(len(layers), 1, -1, -1).to(hidden.data)
            attention = Attention(itself, layers, hidden.grid)
            for both in (True, False):
                features = model.finish(hidden, attention, residual=both, feed_forward=both)
                PatchFeatures.check(features)
                assert features.data.shape[1:] == (rows, columns)
                assert not features.data.requires_grad

    @classmethod
    def toy(cls) -> Any:
        """Return a model whose patches are their brightness."""
        return ToyEncodesPatches()


class ToyEncodesPatches(ToyEncodesTokens, EncodesPatches):
    """Encode patches by their brightness."""

    def join_heads(
        self, layer: int, vectors: Float[torch.Tensor, "head token depth"]
    ) -> Float[torch.Tensor, "token width"]:
        """Put the heads' vectors together, and turn them, in every block another way."""
        return vectors.transpose(0, 1).flatten(1).roll(layer, -1)

    def finish(
        self, hidden: Hidden, attention: Attention, *, residual: bool, feed_forward: bool
    ) -> PatchFeatures:
        """Add up attended values; the toy's second half is a sine."""
        total = hidden.entering(attention.layers[0]) * residual
        for layer, weights in zip(attention.layers, attention.data, strict=True):
            total = total + (weights @ self.project(hidden, layer)[2]).transpose(0, 1).flatten(1)
        total = total + total.sin() * feed_forward
        return PatchFeatures(total[1:].T.unflatten(1, hidden.grid).contiguous())
