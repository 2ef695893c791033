"""CLIP's patches among the texts, as its last attention would project them one by one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from ovsskit._lazy import Float, torch
from ovsskit.backbones.clip import _vision as vision
from ovsskit.backbones.clip._as_clip import AsClip
from ovsskit.backbones.clip._published import CLIP
from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.model import DescribesPatchesAndText
from ovsskit.engine.values import Image, PatchFeatures
from ovsskit.errors import BadWeights
from ovsskit.hub.weights import Published


class ClipDense(AsClip, DescribesPatchesAndText):
    """Describe patches by any CLIP of open_clip, ResNets too, among its texts.

    Of a ResNet these are the values of its attention pool, projected; of a vision transformer the
    values of its last block, without residual and feed-forward part. Pixels beyond whole patches
    are not seen. Weights are those of `clip`.
    Source: Zhou et al. 2022, MaskCLIP; Shin et al. 2022, ReCo, with RN50x16.
    """

    embedded: ClassVar[Path] = Clip.embedded
    published: ClassVar[Mapping[str, Published]] = CLIP

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return nothing: the weights are those of `clip`, which recognises them."""
        return ""

    def describe_patches(self, images: Sequence[Image]) -> list[PatchFeatures]:
        """Return one vector for every patch.

        Raises:
            BadWeights: the image encoder is neither a plain ViT nor one of CLIP's ResNets.
        """
        with torch.no_grad():
            return [PatchFeatures(self._describe(image).float()) for image in images]

    def _describe(self, image: Image) -> Float[torch.Tensor, "width rows cols"]:
        visual = self.network.visual
        if vision.has_plain_blocks(visual):
            [hidden] = self.clip.hidden([image], [self.clip.block_count])
            block = vision.blocks_of(visual)[-1]
            values = vision.project(block, hidden.entering(self.clip.block_count)).values
            found = vision.project_to_text(visual, vision.join_heads(block, values))
            patches: torch.Tensor = found[1:].T.unflatten(1, hidden.grid)
            return patches
        if not hasattr(visual, "attnpool"):
            what = f"The image encoder is a {type(visual).__name__} without accessible patches."
            raise BadWeights(what, fix="Use one of CLIP's own, such as RN50x16 or ViT-B-16.")
        pixels = self.clip.normalise(image)[None].to(self._device, visual.conv1.weight.dtype)
        maps = visual.stem(pixels)
        for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            maps = layer(maps)
        pool = visual.attnpool
        values = pool.c_proj(pool.v_proj(maps[0].permute(1, 2, 0)))
        projected: torch.Tensor = values.permute(2, 0, 1)
        return projected
