"""What image encoders have in common whose blocks have the parts of DINOv2 in transformers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from ovsskit._lazy import Float, torch
from ovsskit.backbones._blocks import RunsBlocks
from ovsskit.backbones._patches import hide_patches, see_patch
from ovsskit.backbones._project import project_tokens
from ovsskit.backbones._sizes import run_by_size
from ovsskit.engine.model import DescribesPatches, EncodesPatches
from ovsskit.engine.values import GuideFeatures, Hidden, Image, PatchFeatures
from ovsskit.engine.values.features import on_grid


class Tower(RunsBlocks, EncodesPatches, DescribesPatches):
    """Run a vision transformer block by block: class token and registers first, then patches.

    Images keep their size; pixels left over at the right and bottom, less than a patch, are not
    seen. A model says how it embeds pixels, and what follows its last block.
    """

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

    def pixels(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image as the network sees it: normalised, in whole patches, hidden ones at 0.

        Raises:
            BadValue: the image is smaller than a patch.
        """
        see_patch(image, self.patch)
        data, (height, width) = self.normalise(image), image.size
        hide_patches(data, image, self.patch)
        return data[:, : height - height % self.patch, : width - width % self.patch]

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
            heads = block.attention.num_attention_heads
            return project_tokens(block, hidden.entering(layer), heads)

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
