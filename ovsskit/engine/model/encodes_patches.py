"""The capability to finish any attention of patches, its laws, and a toy that has it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.engine.model.encodes_tokens import EncodesTokens, ToyEncodesTokens, last_two
from ovsskit.engine.stage import Capability
from ovsskit.engine.values import Attention, Hidden, Image, PatchFeatures
from ovsskit.engine.values.features import on_grid


class EncodesPatches(EncodesTokens, Capability):
    """Give the tokens inside an image encoder, and bring them to the end by any attention.

    A model says what its blocks do with tokens that have gathered. The steps are: `join_heads` of a
    block, perhaps `feed_forward`, `normalise_tokens`, `into_texts`. All take tokens in any
    precision.
    """

    @abstractmethod
    def join_heads(
        self, layer: int, vectors: Float[torch.Tensor, "head token depth"]
    ) -> Float[torch.Tensor, "token width"]:
        """Put the heads' vectors together, and project them as a block projects what it gathers."""

    @abstractmethod
    def feed_forward(
        self, layer: int, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token width"]:
        """Return tokens with a block's second half added."""

    @abstractmethod
    def normalise_tokens(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token width"]:
        """Normalise tokens as the model does after its last block."""

    @abstractmethod
    def into_texts(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token out"]:
        """Project normalised tokens into the space of texts."""

    def gather(
        self, hidden: Hidden, attention: Attention, *, residual: bool
    ) -> Float[torch.Tensor, "token width"]:
        """Sum what the tokens of `attention` gather in its blocks, joined over the heads.

        With `residual` the sum starts from the tokens that enter the first of these blocks, else
        from zero. Tokens of patches are brought to the attention's grid.
        """
        start = _brought(hidden.entering(attention.layers[0])[None], hidden, attention)[0]
        total = start if residual else torch.zeros_like(start)
        for layer, weights in zip(attention.layers, attention.data, strict=True):
            values = _brought(self.project(hidden, layer)[2], hidden, attention)
            total = total + self.join_heads(layer, weights.to(values.dtype) @ values)
        return total

    def finish_tokens(
        self, hidden: Hidden, attention: Attention, *, residual: bool, feed_forward: bool
    ) -> Float[torch.Tensor, "token out"]:
        """Return what `finish` does, of the tokens before the patches too if they take part."""
        tokens = self.gather(hidden, attention, residual=residual)
        if feed_forward:
            tokens = self.feed_forward(attention.layers[-1], tokens)
        return self.into_texts(self.normalise_tokens(tokens)).float()

    def finish(
        self, hidden: Hidden, attention: Attention, *, residual: bool, feed_forward: bool
    ) -> PatchFeatures:
        """Add up the attended values of the blocks, and project patches into the space of texts.

        With `feed_forward` the last block's second half follows what is gathered.
        """
        tokens = self.finish_tokens(hidden, attention, residual=residual, feed_forward=feed_forward)
        return PatchFeatures(tokens[attention.others :].T.unflatten(1, attention.grid))

    @classmethod
    def check(cls, model: Any) -> None:
        """Test what comes of the last two blocks, for images of unlike sizes.

        Without the other tokens, and on another grid, there are as many vectors as places. Steps
        take every token for itself.
        """
        image = Image.example()
        images = [image, Image(image.data.repeat(1, 1, 2))]
        layers = last_two(model.block_count)
        for hidden in model.hidden(images, layers):
            rows, columns = hidden.grid
            count = rows * columns
            for layer in layers:
                joined = model.join_heads(layer, model.project(hidden, layer)[1])
                assert joined.shape == hidden.entering(layer).shape
                fed = model.feed_forward(layer, joined)
                assert fed.shape == joined.shape
                alone = model.feed_forward(layer, joined[1:2])
                torch.testing.assert_close(alone, fed[1:2], atol=1e-4, rtol=1e-4)
            for tokens, grid in (
                (hidden.others + count, hidden.grid),
                (count, hidden.grid),
                (6, (2, 3)),
            ):
                itself = torch.eye(tokens).expand(len(layers), 1, -1, -1).to(hidden.data)
                attention = Attention(itself, layers, grid)
                for both in (True, False):
                    features = model.finish(hidden, attention, residual=both, feed_forward=both)
                    PatchFeatures.check(features)
                    assert features.grid == grid
                    assert not features.data.requires_grad

    @classmethod
    def toy(cls) -> Any:
        """Return a model whose patches are their brightness."""
        return ToyEncodesPatches()


def _brought(
    vectors: Float[torch.Tensor, "head token depth"], hidden: Hidden, attention: Attention
) -> Float[torch.Tensor, "head place depth"]:
    """Return the vectors of the tokens that take part in an attention, on its grid."""
    if attention.others:
        return vectors
    patches = vectors[:, hidden.others :]
    if attention.grid == hidden.grid:
        return patches
    maps = torch.stack([on_grid(one, hidden.grid) for one in patches.float()])
    resized = torch.nn.functional.interpolate(maps, attention.grid, mode="bilinear")
    return resized.flatten(2).transpose(1, 2).to(vectors.dtype)


class ToyEncodesPatches(ToyEncodesTokens, EncodesPatches):
    """Encode patches by their brightness."""

    def join_heads(
        self, layer: int, vectors: Float[torch.Tensor, "head token depth"]
    ) -> Float[torch.Tensor, "token width"]:
        """Put the heads' vectors together, and turn them, in every block another way."""
        return vectors.transpose(0, 1).flatten(1).roll(layer, -1)

    def feed_forward(
        self, layer: int, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token width"]:
        """Add a sine."""
        return tokens + tokens.sin()

    def normalise_tokens(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token width"]:
        """Leave tokens as they are."""
        return tokens

    def into_texts(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token out"]:
        """Leave tokens as they are."""
        return tokens
