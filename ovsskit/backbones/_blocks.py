"""What vision transformers have in common whose blocks are run one by one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.backbones._sizes import need_blocks, run_by_size
from ovsskit.engine.model import EncodesTokens, Facet, GuidesPatches, PretrainedBackbone
from ovsskit.engine.model.guides_patches import facet_of
from ovsskit.engine.values import GuideFeatures, Hidden, Image
from ovsskit.engine.values.features import on_grid


class RunsBlocks(PretrainedBackbone, EncodesTokens, GuidesPatches):
    """Give the tokens that enter blocks, and guide by what the last one makes of them.

    A model says how it embeds images, and what it makes of tokens in a block and after the last.
    """

    @property
    @abstractmethod
    def blocks(self) -> Any:
        """Return the blocks in order."""

    @abstractmethod
    def _embed(
        self, images: Sequence[Image]
    ) -> tuple[Float[torch.Tensor, "image token width"], tuple[int, int]]:
        """Return the tokens of images of one size that enter the first block, and their grid.

        Raises:
            BadValue: the images are smaller than a patch.
        """

    @abstractmethod
    def _guide(self, images: Sequence[Image]) -> list[GuideFeatures]:
        """Return what leaves the network for the patches of images of one size, normalised."""

    @property
    def block_count(self) -> int:
        """Return the number of blocks."""
        return len(self.blocks)

    def hidden(self, images: Sequence[Image], layers: Sequence[int]) -> list[Hidden]:
        """Run the network up to the last of these blocks (numbers from 1).

        Raises:
            BadValue: the network has no such block, or an image is smaller than a patch.
        """
        wanted = need_blocks(layers, self.block_count)
        return run_by_size(images, lambda alike: self._enter(alike, wanted))

    def _enter(self, images: Sequence[Image], wanted: tuple[int, ...]) -> list[Hidden]:
        """Return the tokens of images of one size that enter each of the wanted blocks."""
        kept = []
        with torch.no_grad():
            tokens, grid = self._embed(images)
            for number, block in enumerate(self.blocks[: wanted[-1]], 1):
                if number in wanted:
                    kept.append(self._shown(tokens))
                if number < wanted[-1]:
                    tokens = block(tokens)
        return [Hidden(data, wanted, grid) for data in torch.stack(kept, 1)]

    def _shown(
        self, tokens: Float[torch.Tensor, "image token width"]
    ) -> Float[torch.Tensor, "image place width"]:
        """Return those of the tokens that are handed on: all of them."""
        return tokens

    def guide(self, images: Sequence[Image], facet: Facet) -> list[GuideFeatures]:
        """Return the features of the patches of each image, by the model as it was trained.

        Raises:
            BadValue: an image is smaller than a patch.
        """
        if facet == "token":
            return run_by_size(images, self._guide)
        last = self.block_count
        return [
            GuideFeatures(on_grid(vectors[hidden.others :].float(), hidden.grid))
            for hidden in self.hidden(images, [last])
            for vectors in [facet_of(self.project(hidden, last), facet)]
        ]

    def norms(self, hidden: Hidden, layer: int) -> Float[torch.Tensor, " token"]:
        """Return the lengths of the tokens that enter a block, after its first normalisation."""
        with torch.no_grad():
            normalised = self._first_norm(self.blocks[layer - 1])(hidden.entering(layer))
            lengths: torch.Tensor = normalised.float().norm(dim=-1)
        return lengths

    def _first_norm(self, block: Any) -> Any:
        """Return the normalisation before a block's attention, which most networks call `norm1`."""
        return block.norm1
