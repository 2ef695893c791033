"""CLIP's patches among the texts, as its last attention would project them one by one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.backbones.clip import _vision as vision
from ovsskit.backbones.clip._published import CLIP
from ovsskit.backbones.clip._weights import HUB_FILES
from ovsskit.backbones.clip.clip import Clip, Colour
from ovsskit.engine.model import DescribesPatches, EncodesImageAndText, PretrainedBackbone
from ovsskit.engine.readable import Reading
from ovsskit.engine.values import Image, PatchFeatures
from ovsskit.errors import BadWeights
from ovsskit.hub.weights import HubFiles, Published


class ClipDense(PretrainedBackbone, EncodesImageAndText, DescribesPatches):
    """Describe patches by any CLIP of open_clip, ResNets too, among its texts.

    Of a ResNet these are the values of its attention pool, projected; of a vision transformer the
    values of its last block, without residual and feed-forward part. Pixels beyond whole patches
    are not seen. Weights are those of `clip`.
    Source: Zhou et al. 2022, MaskCLIP; Shin et al. 2022, ReCo, with RN50x16.
    """

    embedded: ClassVar[Path] = Clip.embedded
    hub_files: ClassVar[HubFiles] = HUB_FILES
    published: ClassVar[Mapping[str, Published]] = CLIP

    model: Annotated[
        str, Field(description="architecture as open_clip names it, such as RN50x16: see `clip`")
    ] = ""
    mean: Annotated[
        Colour, Field(description="red, green and blue to subtract, to 255; the model's if empty")
    ] = ()
    deviation: Annotated[
        Colour, Field(description="red, green and blue to divide by, to 255; the model's if empty")
    ] = ()

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return nothing: the weights are those of `clip`, which recognises them."""
        return ""

    @cached_property
    def clip(self) -> Clip:
        """Return the same model as `clip` has it, with this one's network."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return Clip(**given).to(self._device)

    @property
    def source(self) -> str:
        """Return where the weights come from: a hub id, a local path, or `embedded`."""
        return self.clip.source

    @property
    def network(self) -> Any:
        """Return the network, for evaluation and without gradients."""
        return self.clip.network

    def load(self) -> Any:
        """Read the network from its weights.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        return self.clip.load()

    def check_weights(self) -> None:
        """Refuse weights that do not fit, by the names and shapes of their tensors.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        self.clip.check_weights()

    def read_files(self) -> dict[str, Path]:
        """Return the model's files by name."""
        return self.clip.read_files()

    def read_word(self, word: str) -> Reading:
        """Return what the text encoder reads of a single word."""
        return self.clip.read_word(word)

    def encode_text(self, texts: Sequence[str]) -> Float[torch.Tensor, "text width"]:
        """Return one vector per text, not normalised; what is too long is cut, and said."""
        return self.clip.encode_text(texts)

    def encode_image(self, images: Sequence[Image]) -> Float[torch.Tensor, "image width"]:
        """Return one vector per image, not normalised; images are resized as in the training."""
        return self.clip.encode_image(images)

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
            what = f"The image encoder is a {type(visual).__name__} whose patches cannot be had."
            raise BadWeights(what, fix="Use one of CLIP's own, such as RN50x16 or ViT-B-16.")
        pixels = self.clip.normalise(image)[None].to(self._device, visual.conv1.weight.dtype)
        maps = visual.stem(pixels)
        for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            maps = layer(maps)
        pool = visual.attnpool
        values = pool.c_proj(pool.v_proj(maps[0].permute(1, 2, 0)))
        projected: torch.Tensor = values.permute(2, 0, 1)
        return projected
