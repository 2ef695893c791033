"""The capability to give the tokens inside an image encoder, its laws, and a toy that has it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import GRID, LAYERS, WIDTH, brightness
from ovsskit.engine.stage import Capability
from ovsskit.engine.values import Hidden, Image

TOY_HEADS = 2


class EncodesTokens(Capability):
    """Give the tokens inside an image encoder, and their queries, keys and values."""

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
    def norms(self, hidden: Hidden, layer: int) -> Float[torch.Tensor, " token"]:
        """Return the lengths of the tokens that enter a block, after its first normalisation."""

    @classmethod
    def check(cls, model: Any) -> None:
        """Test the shapes of the last two blocks' tokens, for images of unlike sizes."""
        images = [Image.example(seed) for seed in (0, 7)]
        images.append(Image(images[0].data.repeat(1, 1, 2)))
        layers = last_two(model.block_count)
        for image, hidden in zip(images, model.hidden(images, layers), strict=True):
            [alone] = model.hidden([image], layers)
            torch.testing.assert_close(alone.data, hidden.data, atol=1e-4, rtol=1e-4)
            Hidden.check(hidden)
            count = hidden.data.shape[1]
            assert hidden.layers == layers
            assert hidden.others >= 0, "there are more patches than tokens"
            assert not hidden.data.requires_grad
            for layer in layers:
                assert {part.shape[1] for part in model.project(hidden, layer)} == {count}
                assert model.norms(hidden, layer).shape == (count,)

    @classmethod
    def toy(cls) -> Any:
        """Return a model whose patches are their brightness."""
        return ToyEncodesTokens()


def last_two(count: int) -> tuple[int, ...]:
    """Return the numbers of the last two of so many blocks, or of the only one."""
    return tuple(range(max(1, count - 1), count + 1))


class ToyEncodesTokens(EncodesTokens):
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

    def norms(self, hidden: Hidden, layer: int) -> Float[torch.Tensor, " token"]:
        """Return the lengths of a block's tokens."""
        lengths: torch.Tensor = torch.linalg.vector_norm(hidden.entering(layer), dim=-1)
        return lengths
