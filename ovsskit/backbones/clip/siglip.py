"""SigLIP and SigLIP 2: patches among the texts, as the model's attention pool would take each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from ovsskit._lazy import Float, torch
from ovsskit.backbones._blocks import RunsBlocks
from ovsskit.backbones._patches import hide_patches, see_patch
from ovsskit.backbones.clip import _pooled as pooled
from ovsskit.backbones.clip._as_clip import AsClip
from ovsskit.backbones.clip._published import SIGLIP
from ovsskit.engine.model import EncodesPatches
from ovsskit.engine.values import GuideFeatures, Hidden, Image
from ovsskit.engine.values.features import on_grid
from ovsskit.hub.weights import Published


class Siglip(AsClip, RunsBlocks, EncodesPatches):
    """Encode texts, images and patches with a SigLIP or SigLIP 2 of open_clip.

    It has no class token: an attention pool looks at all patches, and its output is compared with
    texts. Here every patch goes through that pool as if it were the only one, which is what its
    values, projection and feed-forward part make of it. Weights are those of `clip`, which names
    them the same way. Encoders whose blocks turn positions into queries and keys (PE) are refused.
    Images keep their size for patches; pixels beyond whole patches are not seen.
    Source: Zhai et al. 2023, SigLIP; Tschannen et al. 2025, SigLIP 2; open_clip and timm. Taking
    the values of an attention pool: Zhou et al. 2022, MaskCLIP.
    """

    waits: ClassVar[str] = "open_clip prepares whole images on the processor"
    published: ClassVar[Mapping[str, Published]] = SIGLIP

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return SigLIP's name if tensors of such names are one of it, else an empty text."""
        return pooled.recognise(names)

    @cached_property
    def trunk(self) -> Any:
        """Return the vision transformer inside the image encoder.

        Raises:
            BadWeights: its blocks cannot be run apart, or it has no attention pool.
        """
        return pooled.trunk_of(self.network.visual)

    @property
    def blocks(self) -> Any:
        """Return the blocks of the image encoder in order."""
        return self.trunk.blocks

    def pixels(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image as the network sees it: normalised, own size, hidden patches at 0.

        Raises:
            BadValue: the image is smaller than a patch.
        """
        patch = pooled.patch_of(self.trunk)
        see_patch(image, patch)
        data = self.clip.normalise(image)
        hide_patches(data, image, patch)
        return data

    def _embed(
        self, images: Sequence[Image]
    ) -> tuple[Float[torch.Tensor, "image token width"], tuple[int, int]]:
        pixels = torch.stack([self.pixels(image) for image in images]).to(self._device)
        return pooled.embed(self.trunk, pixels)

    def _guide(self, images: Sequence[Image]) -> list[GuideFeatures]:
        last, found = self.block_count, []
        for hidden in self.hidden(images, [last]):
            with torch.no_grad():
                left = self.blocks[-1](hidden.entering(last)[None])[0]
            patches = self.normalise_tokens(left)[hidden.others :]
            found.append(GuideFeatures(on_grid(patches.float(), hidden.grid)))
        return found

    def project(
        self, hidden: Hidden, layer: int
    ) -> tuple[
        Float[torch.Tensor, "head token depth"],
        Float[torch.Tensor, "head token depth"],
        Float[torch.Tensor, "head token depth"],
    ]:
        """Return a block's queries, keys and values of the tokens that enter it."""
        with torch.no_grad():
            return pooled.project(self.blocks[layer - 1], hidden.entering(layer))

    def join_heads(
        self, layer: int, vectors: Float[torch.Tensor, "head token depth"]
    ) -> Float[torch.Tensor, "token width"]:
        """Put the heads' vectors together, and project them as a block projects what it gathers."""
        with torch.no_grad():
            return pooled.join_heads(self.blocks[layer - 1], vectors.to(self.dtype))

    def feed_forward(
        self, layer: int, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token width"]:
        """Return tokens with a block's second half added."""
        with torch.no_grad():
            block, tokens = self.blocks[layer - 1], tokens.to(self.dtype)
            fed: torch.Tensor = tokens + block.ls2(block.mlp(block.norm2(tokens)))
        return fed

    def normalise_tokens(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token width"]:
        """Normalise tokens as the model does after its last block."""
        with torch.no_grad():
            normalised: torch.Tensor = self.trunk.norm(tokens.to(self.dtype))
        return normalised

    def into_texts(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token out"]:
        """Bring normalised tokens among the texts, each as the attention pool takes it alone."""
        with torch.no_grad():
            return pooled.pool_alone(self.network.visual, self.trunk, tokens.to(self.dtype))
