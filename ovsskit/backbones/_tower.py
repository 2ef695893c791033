"""What image encoders have in common whose blocks have the parts of DINOv2 in transformers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.backbones._sizes import need_blocks, run_by_size
from ovsskit.engine.model import (
    DescribesPatches,
    EncodesPatches,
    Facet,
    GuidesPatches,
    PretrainedBackbone,
)
from ovsskit.engine.model.guides_patches import facet_of
from ovsskit.engine.values import GuideFeatures, Hidden, Image, PatchFeatures
from ovsskit.engine.values.features import on_grid
from ovsskit.errors import BadValue


class Tower(PretrainedBackbone, EncodesPatches, GuidesPatches, DescribesPatches):
    """Run a vision transformer block by block: class token and registers first, then patches.

    Images keep their size; pixels left over at the right and bottom, less than a patch, are not
    seen. A model says how it embeds pixels, and what follows its last block.
    """

    @property
    @abstractmethod
    def blocks(self) -> Any:
        """Return the blocks in order, with the names that transformers gives their parts."""

    @property
    @abstractmethod
    def patch(self) -> int:
        """Return the side of a patch, in pixels."""

    @abstractmethod
    def normalise(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image's colours as the network was trained with."""

    @abstractmethod
    def embed(
        self, pixels: Float[torch.Tensor, "image 3 h w"]
    ) -> Float[torch.Tensor, "image token width"]:
        """Return the tokens that enter the first block, of images in whole patches."""

    @property
    def block_count(self) -> int:
        """Return the number of blocks."""
        return len(self.blocks)

    def pixels(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image as the network sees it: normalised, in whole patches, hidden ones at 0.

        Raises:
            BadValue: the image is smaller than a patch.
        """
        patch, (height, width) = self.patch, image.size
        if min(height, width) < patch:
            what = f"An image is {width} x {height} pixels, smaller than a patch of {patch}."
            raise BadValue(what, fix="Enlarge it first: resize_image.")
        data = self.normalise(image)
        if image.hidden is not None:
            hidden = image.hidden.repeat_interleave(patch, 0).repeat_interleave(patch, 1)
            data[:, : hidden.shape[0], : hidden.shape[1]] *= ~hidden[:height, :width]
        return data[:, : height - height % patch, : width - width % patch]

    def hidden(self, images: Sequence[Image], layers: Sequence[int]) -> list[Hidden]:
        """Run the network up to the last of these blocks (numbers from 1).

        Raises:
            BadValue: the network has no such block, or an image is smaller than a patch.
        """
        wanted = need_blocks(layers, self.block_count)
        return run_by_size(images, lambda alike: self._enter(alike, wanted))

    def _enter(self, images: Sequence[Image], wanted: tuple[int, ...]) -> list[Hidden]:
        kept = []
        with torch.no_grad():
            tokens, grid = self._embed(images)
            for number, block in enumerate(self.blocks[: wanted[-1]], 1):
                if number in wanted:
                    kept.append(tokens)
                if number < wanted[-1]:
                    tokens = block(tokens)
        return [Hidden(data, wanted, grid) for data in torch.stack(kept, 1)]

    def _embed(
        self, images: Sequence[Image]
    ) -> tuple[Float[torch.Tensor, "image token width"], tuple[int, int]]:
        pixels = torch.stack([self.pixels(image) for image in images]).to(self._device, self.dtype)
        grid = (pixels.shape[2] // self.patch, pixels.shape[3] // self.patch)
        return self.embed(pixels), grid

    def leave(
        self, images: Sequence[Image]
    ) -> tuple[Float[torch.Tensor, "image patch width"], tuple[int, int]]:
        """Return the patches of images of one size after the last block, normalised."""
        with torch.no_grad():
            tokens, grid = self._embed(images)
            for block in self.blocks:
                tokens = block(tokens)
            left = torch.stack([self.normalise_tokens(one) for one in tokens])
        return left[:, -grid[0] * grid[1] :], grid

    def guide(self, images: Sequence[Image], facet: Facet) -> list[GuideFeatures]:
        """Return the features of the patches of each image.

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

    def _guide(self, images: Sequence[Image]) -> list[GuideFeatures]:
        left, grid = self.leave(images)
        return [GuideFeatures(on_grid(one.float(), grid)) for one in left]

    def describe_patches(self, images: Sequence[Image]) -> list[PatchFeatures]:
        """Return what leaves the network for every patch, among the texts.

        Raises:
            BadValue: an image is smaller than a patch.
            BadWeights: nothing brings patches among texts.
        """
        return run_by_size(images, self._describe)

    def _describe(self, images: Sequence[Image]) -> list[PatchFeatures]:
        left, grid = self.leave(images)
        return [PatchFeatures(on_grid(self.into_texts(one).float(), grid)) for one in left]

    def project(
        self, hidden: Hidden, layer: int
    ) -> tuple[
        Float[torch.Tensor, "head token depth"],
        Float[torch.Tensor, "head token depth"],
        Float[torch.Tensor, "head token depth"],
    ]:
        """Return a block's queries, keys and values of the tokens that enter it."""
        with torch.no_grad():
            block = self.blocks[layer - 1]
            attention, normalised = block.attention, block.norm1(hidden.entering(layer))
            queries, keys, values = (
                one(normalised).unflatten(-1, (attention.num_attention_heads, -1)).transpose(0, 1)
                for one in (attention.q_proj, attention.k_proj, attention.v_proj)
            )
        return queries, keys, values

    def norms(self, hidden: Hidden, layer: int) -> Float[torch.Tensor, " token"]:
        """Return the lengths of the tokens that enter a block, after its first normalisation."""
        with torch.no_grad():
            normalised = self.blocks[layer - 1].norm1(hidden.entering(layer))
            lengths: torch.Tensor = normalised.float().norm(dim=-1)
        return lengths

    def join_heads(
        self, layer: int, vectors: Float[torch.Tensor, "head token depth"]
    ) -> Float[torch.Tensor, "token width"]:
        """Put the heads' vectors together, and project them as a block projects what it gathers."""
        with torch.no_grad():
            block = self.blocks[layer - 1]
            joined = vectors.to(self.dtype).transpose(0, 1).flatten(1)
            found: torch.Tensor = block.layer_scale1(block.attention.o_proj(joined))
        return found

    def feed_forward(
        self, layer: int, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token width"]:
        """Return tokens with a block's second half added."""
        with torch.no_grad():
            block, tokens = self.blocks[layer - 1], tokens.to(self.dtype)
            fed: torch.Tensor = tokens + block.layer_scale2(block.mlp(block.norm2(tokens)))
        return fed
