"""DINOv3: patches of a vision transformer that was trained without labels, to guide others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import FOLDER_FILES, has_marks
from ovsskit.backbones._hub_network import read_hub_network
from ovsskit.backbones._patches import hide_patches, see_patch
from ovsskit.backbones._project import project_tokens
from ovsskit.backbones._sizes import run_by_size
from ovsskit.backbones.dino._published import DINOV3
from ovsskit.backbones.dino._vision import normalise
from ovsskit.engine.model import Facet, GuidesPatches, PretrainedBackbone
from ovsskit.engine.model.guides_patches import facet_of
from ovsskit.engine.values import GuideFeatures, Image
from ovsskit.engine.values.features import on_grid
from ovsskit.hub.weights import HubFiles, Published


class Dinov3(PretrainedBackbone, GuidesPatches):
    """Guide by any vision transformer of DINOv3.

    Weights are a hub id or a folder in its format; those of the hub are given out by Meta under a
    licence that has to be accepted there. Positions are turned into queries and keys inside the
    blocks: what a guide hands on is before that. Images keep their size; pixels left over at the
    right and bottom, less than a patch, are not seen.
    Source: Simeoni et al. 2025, DINOv3; transformers (`DINOv3ViTModel`).
    """

    compiles: ClassVar[str] = r"model\.layer\.\d+"
    hub_files: ClassVar[HubFiles] = HubFiles(FOLDER_FILES, config="config.json")
    published: ClassVar[Mapping[str, Published]] = DINOV3

    weights: Annotated[str, Field(description="a hub id, or a local folder in its format")]

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return DINOv3's name if tensors of such names are one of it, else an empty text."""
        marks = (r"^(model\.)?layer\.\d+\.attention\.q_proj\.", r"^embeddings\.register_tokens$")
        return "DINOv3" if has_marks(names, marks, (r"position_embeddings",)) else ""

    def load(self) -> Any:
        """Read the network from its folder.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        fix = f"Give a folder in the format of the hub, such as {next(iter(self.published))}."
        folder = self.need_weights()
        return read_hub_network(folder, "DINOv3ViTModel", self.dtype, "DINOv3", fix)

    def check_weights(self) -> None:
        """Refuse weights that do not fit.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        self.load()

    def pixels(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image as the network sees it: normalised, in whole patches, hidden ones at 0.

        Raises:
            BadValue: the image is smaller than a patch.
        """
        patch, (height, width) = self.network.config.patch_size, image.size
        see_patch(image, patch)
        data = normalise(image.data)
        hide_patches(data, image, patch)
        return data[:, : height - height % patch, : width - width % patch]

    def guide(self, images: Sequence[Image], facet: Facet) -> list[GuideFeatures]:
        """Return the features of the patches of each image.

        Raises:
            BadValue: an image is smaller than a patch.
        """
        return run_by_size(images, lambda alike: self._guide(alike, facet))

    def _guide(self, images: Sequence[Image], facet: Facet) -> list[GuideFeatures]:
        network, patch = self.network, self.network.config.patch_size
        with torch.no_grad():
            pixels = torch.stack([self.pixels(one) for one in images]).to(self._device, self.dtype)
            grid = (pixels.shape[2] // patch, pixels.shape[3] // patch)
            tokens, positions = network.embeddings(pixels), network.rope_embeddings(pixels)
            *blocks, last = network.model.layer
            for block in blocks:
                tokens = block(tokens, position_embeddings=positions)
            if facet == "token":
                found = list(network.norm(last(tokens, position_embeddings=positions)))
            else:
                heads = last.attention.num_heads
                found = [facet_of(project_tokens(last, one, heads), facet) for one in tokens]
        return [GuideFeatures(on_grid(one[-grid[0] * grid[1] :].float(), grid)) for one in found]
