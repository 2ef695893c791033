"""The capability to give tokens of patches and finish any attention, its laws, and a toy."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import GRID, LAYERS, WIDTH, brightness
from ovsskit.engine.stage import Capability
from ovsskit.engine.values import Attention, Hidden, Image, PatchFeatures

TOY_HEADS = 2


class EncodesPatches(Capability):
    """Give the tokens inside an image encoder, and bring them to the end by any attention."""

    @property
    @abstractmethod
    def block_count(self) -> int:
        """Return the number of blocks of the image encoder."""

    @abstractmethod
    def hidden(self, images: Sequence[Image], layers: Sequence[int]) -> list[Hidden]:
        """Run the network up to the last of these blocks (from 1); images keep their size."""

    @abstractmethod
    def project(
        self, hidden: Hidden, layer: int
    ) -> tuple[
        Float[torch.Tensor, "head token width"],
        Float[torch.Tensor, "head token width"],
        Float[torch.Tensor, "head token width"],
    ]:
        """Return a block's queries, keys and values of the tokens that enter it."""

    @abstractmethod
    def join_heads(
        self, layer: int, vectors: Float[torch.Tensor, "head token depth"]
    ) -> Float[torch.Tensor, "token width"]:
        """Put the heads' vectors together, and project them as a block projects what it gathers."""

    @abstractmethod
    def norms(self, hidden: Hidden, layer: int) -> Float[torch.Tensor, " token"]:
        """Return the lengths of the tokens that enter a block, after its first normalisation."""

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
        images = [Image.example(seed) for seed in (0, 7)]
        images.append(Image(images[0].data.repeat(1, 1, 2)))
        layers = (model.block_count - 1, model.block_count)
        for image, hidden in zip(images, model.hidden(images, layers), strict=True):
            [alone] = model.hidden([image], layers)
            torch.testing.assert_close(alone.data, hidden.data, atol=1e-4, rtol=1e-4)
            Hidden.check(hidden)
            rows, columns = hidden.grid
            count = 1 + rows * columns
            assert hidden.layers == layers
            assert hidden.data.shape[1] == count
            for layer in layers:
                parts = model.project(hidden, layer)
                assert {part.shape[1] for part in parts} == {count}
                assert model.norms(hidden, layer).shape == (count,)
                joined = model.join_heads(layer, parts[1])
                assert joined.shape == hidden.entering(layer).shape
            itself = torch.eye(count).expand(len(layers), 1, -1, -1).to(hidden.data)
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


class ToyEncodesPatches(EncodesPatches):
    """Encode patches by their brightness."""

    @property
    def block_count(self) -> int:
        """Return the number of blocks of the examples."""
        return LAYERS

    def hidden(self, images: Sequence[Image], layers: Sequence[int]) -> list[Hidden]:
        """Make tokens of the brightness of patches, in every block another way."""
        return [self._hide(image, tuple(layers)) for image in images]

    def _hide(self, image: Image, layers: tuple[int, ...]) -> Hidden:
        bright = brightness(image.data).flatten()
        tokens = (
            torch.cat([bright.mean(0, keepdim=True), bright])[:, None]
            * torch.arange(1, WIDTH + 1, device=bright.device)
            * 5
        )
        return Hidden(torch.stack([(tokens * layer).sin() for layer in layers]), layers, GRID)

    def project(
        self, hidden: Hidden, layer: int
    ) -> tuple[
        Float[torch.Tensor, "head token width"],
        Float[torch.Tensor, "head token width"],
        Float[torch.Tensor, "head token width"],
    ]:
        """Turn a block's tokens into queries, keys and values, each in another way."""
        split = hidden.entering(layer).unflatten(1, (TOY_HEADS, -1)).transpose(0, 1)
        return split, split.roll(1, -1), split.flip(-1)

    def join_heads(
        self, layer: int, vectors: Float[torch.Tensor, "head token depth"]
    ) -> Float[torch.Tensor, "token width"]:
        """Put the heads' vectors together, and turn them, in every block another way."""
        return vectors.transpose(0, 1).flatten(1).roll(layer, -1)

    def norms(self, hidden: Hidden, layer: int) -> Float[torch.Tensor, " token"]:
        """Return the lengths of a block's tokens."""
        lengths: torch.Tensor = torch.linalg.vector_norm(hidden.entering(layer), dim=-1)
        return lengths

    def finish(
        self, hidden: Hidden, attention: Attention, *, residual: bool, feed_forward: bool
    ) -> PatchFeatures:
        """Add up attended values; the toy's second half is a sine."""
        total = hidden.entering(attention.layers[0]) * residual
        for layer, weights in zip(attention.layers, attention.data, strict=True):
            total = total + (weights @ self.project(hidden, layer)[2]).transpose(0, 1).flatten(1)
        total = total + total.sin() * feed_forward
        return PatchFeatures(total[1:].T.unflatten(1, hidden.grid).contiguous())
