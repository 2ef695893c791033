"""DINO and DINOv2: tokens of patches from vision transformers that were trained without labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.backbones._blocks import RunsBlocks
from ovsskit.backbones._checkpoint import FOLDER_FILES
from ovsskit.backbones._inferred import config_beside
from ovsskit.backbones._patches import hide_patches, see_patch
from ovsskit.backbones._project import project_tokens
from ovsskit.backbones.dino import _checkpoint as checkpoint
from ovsskit.backbones.dino import _vision as vision
from ovsskit.backbones.dino._names import recognise
from ovsskit.backbones.dino._published import DINO
from ovsskit.engine.values import GuideFeatures, Hidden, Image
from ovsskit.engine.values.features import on_grid
from ovsskit.errors import BadWeights
from ovsskit.hub.weights import HubFiles, Published


class Dino(RunsBlocks):
    """Give the tokens of any vision transformer of DINO or DINOv2, with registers or without.

    Weights are a hub id, a folder in Hugging Face format, a checkpoint of the authors (`.pth`), or
    `embedded`, a tiny DINO of the package that was trained on painted scenes.
    Images keep their size; registers are left out of what is handed on.
    Source: Caron et al. 2021, DINO; Oquab et al. 2023, DINOv2; Darcet et al. 2023, registers.
    """

    embedded: ClassVar[Path] = Path(__file__).parents[2] / "embedded" / "dino"
    compiles: ClassVar[str] = r"encoder\.layer\.\d+"
    hub_files: ClassVar[HubFiles] = HubFiles(FOLDER_FILES, beside=("config.json",))
    published: ClassVar[Mapping[str, Published]] = DINO

    positions: Annotated[
        vision.Positions,
        Field(
            description=(
                "how position embeddings are resized to other grids: bicubic by scale, with 0.1 "
                "patches added, to the size, or to the size with antialiasing; `original`: by "
                "scale, and with registers to the size with antialiasing, as the authors do"
            )
        ),
    ] = "original"
    epsilon: Annotated[
        float, Field(gt=0, description="of the layer norms; the hub's of DINO is 1e-12")
    ] = 1e-6
    leftover: Annotated[
        Literal["pad", "drop"],
        Field(
            description="pixels at the right and bottom beyond whole patches: completed to a patch "
            "with the mean colour, or not seen"
        ),
    ] = "pad"

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return DINO's name if tensors of such names are one of it, else an empty text."""
        return recognise(names)

    def load(self) -> Any:
        """Read the network from its weights.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        return checkpoint.read_network(self.need_weights(), self.dtype, self.epsilon)

    def check_weights(self) -> None:
        """Refuse weights that do not fit, by the names and shapes of their tensors.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        checkpoint.check(self.need_weights())

    def convert_weights(self, file: Path) -> None:
        """Write the checkpoint as safetensors, and a copy of its configuration, if any.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        path = self.need_weights()
        config = config_beside(path)
        checkpoint.convert(path, file, [config] if config.is_file() else [])

    @property
    def patch(self) -> int:
        """Return the side of a patch, in pixels."""
        side: int = self.network.embeddings.patch_embeddings.projection.kernel_size[0]
        return side

    @property
    def blocks(self) -> Any:
        """Return the blocks in order."""
        return self.network.encoder.layer

    def pixels(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image as the network sees it: normalised, in whole patches, hidden ones at 0.

        Raises:
            BadValue: the image is smaller than a patch, and is not to be padded.
        """
        data = vision.normalise(image.data)
        missing = [-side % self.patch for side in image.size]
        if self.leftover == "pad":
            data = torch.nn.functional.pad(data, (0, missing[1], 0, missing[0]))
        else:
            see_patch(image, self.patch, 'Or say leftover = "pad".')
        hide_patches(data, image, self.patch)
        return data

    def _embed(
        self, images: Sequence[Image]
    ) -> tuple[Float[torch.Tensor, "image token width"], tuple[int, int]]:
        pixels = torch.stack([self.pixels(image) for image in images]).to(self._device)
        return vision.embed(self.network, pixels, self.positions)

    def _shown(
        self, tokens: Float[torch.Tensor, "image token width"]
    ) -> Float[torch.Tensor, "image place width"]:
        """Return the tokens without the registers."""
        return vision.without_registers(self.network, tokens)

    def _guide(self, images: Sequence[Image]) -> list[GuideFeatures]:
        """Return what leaves the network for images of one size.

        Raises:
            BadWeights: the weights lack the final normalisation of tokens.
        """
        network = self.network
        if network.layernorm is None:
            what = "These weights have no final normalisation, which the tokens of a guide need."
            fix = 'Give the whole weights, or take another facet, such as "key".'
            raise BadWeights(what, fix=fix)
        with torch.no_grad():
            tokens, grid = self._embed(images)
            for block in self.blocks:
                tokens = block(tokens)
            patches = self._shown(network.layernorm(tokens))[:, 1:].float()
        return [GuideFeatures(on_grid(one, grid)) for one in patches]

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
