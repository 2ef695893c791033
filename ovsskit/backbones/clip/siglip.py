"""SigLIP and SigLIP 2: patches among the texts, as the model's attention pool would take each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from ovsskit._lazy import Float, torch
from ovsskit.backbones._sizes import need_blocks, run_by_size
from ovsskit.backbones.clip import _pooled as pooled
from ovsskit.backbones.clip._as_clip import AsClip
from ovsskit.backbones.clip._published import SIGLIP
from ovsskit.engine.model import (
    EncodesPatches,
    Facet,
    GuidesPatches,
)
from ovsskit.engine.model.guides_patches import facet_of
from ovsskit.engine.values import GuideFeatures, Hidden, Image
from ovsskit.engine.values.features import on_grid
from ovsskit.errors import BadValue
from ovsskit.hub.weights import Published


class Siglip(AsClip, EncodesPatches, GuidesPatches):
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
    def block_count(self) -> int:
        """Return the number of blocks of the image encoder."""
        return len(self.trunk.blocks)

    def pixels(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image as the network sees it: normalised, own size, hidden patches at 0.

        Raises:
            BadValue: the image is smaller than a patch.
        """
        patch, (height, width) = pooled.patch_of(self.trunk), image.size
        if min(height, width) < patch:
            what = f"An image is {width} x {height} pixels, smaller than a patch of {patch}."
            raise BadValue(what, fix="Enlarge it first: resize_image.")
        data = self.clip.normalise(image)
        if image.hidden is not None:
            hidden = image.hidden.repeat_interleave(patch, 0).repeat_interleave(patch, 1)
            data[:, : hidden.shape[0], : hidden.shape[1]] *= ~hidden[:height, :width]
        return data

    def hidden(self, images: Sequence[Image], layers: Sequence[int]) -> list[Hidden]:
        """Run the network up to the last of these blocks (numbers from 1); images keep their size.

        Raises:
            BadValue: an image is smaller than a patch, or the network has no such block.
        """
        wanted = need_blocks(layers, self.block_count)
        return run_by_size(images, lambda alike: self._enter(alike, wanted))

    def _enter(self, images: Sequence[Image], wanted: tuple[int, ...]) -> list[Hidden]:
        pixels, kept = torch.stack([self.pixels(image) for image in images]).to(self._device), []
        with torch.no_grad():
            tokens, grid = pooled.embed(self.trunk, pixels)
            for number, block in enumerate(self.trunk.blocks[: wanted[-1]], 1):
                if number in wanted:
                    kept.append(tokens)
                if number < wanted[-1]:
                    tokens = block(tokens)
        return [Hidden(data, wanted, grid) for data in torch.stack(kept, 1)]

    def guide(self, images: Sequence[Image], facet: Facet) -> list[GuideFeatures]:
        """Return the features of the patches of each image, by the model as it was trained.

        Raises:
            BadValue: an image is smaller than a patch.
        """
        last = self.block_count
        return [
            GuideFeatures(on_grid(vectors[hidden.others :].float(), hidden.grid))
            for hidden in self.hidden(images, [last])
            for vectors in [
                self._leave(hidden, last)
                if facet == "token"
                else facet_of(self.project(hidden, last), facet)
            ]
        ]

    def _leave(self, hidden: Hidden, last: int) -> Float[torch.Tensor, "token width"]:
        with torch.no_grad():
            left = self.trunk.blocks[last - 1](hidden.entering(last)[None])[0]
        return self.normalise_tokens(left)

    def project(
        self, hidden: Hidden, layer: int
    ) -> tuple[
        Float[torch.Tensor, "head token depth"],
        Float[torch.Tensor, "head token depth"],
        Float[torch.Tensor, "head token depth"],
    ]:
        """Return a block's queries, keys and values of the tokens that enter it."""
        with torch.no_grad():
            return pooled.project(self.trunk.blocks[layer - 1], hidden.entering(layer))

    def norms(self, hidden: Hidden, layer: int) -> Float[torch.Tensor, " token"]:
        """Return the lengths of the tokens that enter a block, after its first normalisation."""
        with torch.no_grad():
            normalised = self.trunk.blocks[layer - 1].norm1(hidden.entering(layer))
            lengths: torch.Tensor = normalised.float().norm(dim=-1)
        return lengths

    def join_heads(
        self, layer: int, vectors: Float[torch.Tensor, "head token depth"]
    ) -> Float[torch.Tensor, "token width"]:
        """Put the heads' vectors together, and project them as a block projects what it gathers."""
        with torch.no_grad():
            return pooled.join_heads(self.trunk.blocks[layer - 1], vectors.to(self.dtype))

    def feed_forward(
        self, layer: int, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token width"]:
        """Return tokens with a block's second half added."""
        with torch.no_grad():
            block, tokens = self.trunk.blocks[layer - 1], tokens.to(self.dtype)
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
