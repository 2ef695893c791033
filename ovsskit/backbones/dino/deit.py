"""DeiT: patches of a vision transformer that was trained to classify images, with a teacher."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.backbones.dino import _checkpoint as checkpoint
from ovsskit.backbones.dino import _vision as vision
from ovsskit.backbones.dino._names import recognise
from ovsskit.backbones.dino._published import DEIT
from ovsskit.backbones.dino.dino import Dino
from ovsskit.engine.model import DescribesPatches
from ovsskit.engine.values import Image, PatchFeatures
from ovsskit.hub.weights import Published


class Deit(Dino, DescribesPatches):
    """Describe patches by a distilled DeiT, after its last block and norm.

    Its distillation token is a second token of the image, and its classifiers are not read. ReCo
    has one that was trained on stylised images, so that it looks at shapes more than at textures.
    Source: Touvron et al. 2021, DeiT; Naseer et al. 2021 (`deit_s_sin_dist.pth`); Shin et al. 2022,
    ReCo.
    """

    embedded: ClassVar[Path] = Path()
    published: ClassVar[Mapping[str, Published]] = DEIT

    positions: Annotated[
        vision.Positions, Field(description="how position embeddings are resized: see `dino`")
    ] = "size"

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return DeiT's name if tensors of such names are one of it, else an empty text."""
        is_one = recognise(names) and any(one.endswith("dist_token") for one in names)
        return "DeiT" if is_one else ""

    def load(self) -> Any:
        """Read the network from its weights, its final norm too.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        path = self.need_weights()
        return checkpoint.read_network(path, self.dtype, self.epsilon, with_norm=True)

    def describe_patches(self, images: Sequence[Image]) -> list[PatchFeatures]:
        """Return one vector for every patch.

        Raises:
            BadValue: an image is smaller than a patch, and is not to be padded.
        """
        return [self._describe(self.pixels(image)[None].to(self._device)) for image in images]

    def _describe(self, pixels: Float[torch.Tensor, "1 3 h w"]) -> PatchFeatures:
        network = self.network
        with torch.no_grad():
            tokens, grid = vision.embed(network, pixels, self.positions)
            for block in network.encoder.layer:
                tokens = block(tokens)
            tokens = network.layernorm(tokens)
        first = 1 + network.embeddings.register_tokens.shape[1]
        return PatchFeatures(tokens[0, first:].T.float().unflatten(1, grid))
