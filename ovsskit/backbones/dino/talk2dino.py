"""Talk2DINO: DINOv2's patches, and a projection that brings CLIP's texts among them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import FOLDER_FILES
from ovsskit.backbones._tower import Tower
from ovsskit.backbones.dino import _checkpoint as checkpoint
from ovsskit.backbones.dino import _vision as vision
from ovsskit.backbones.dino._projection import (
    KNOWN,
    PROJECTION,
    Layers,
    need_projection,
    read_projection,
    run_projection,
)
from ovsskit.backbones.dino._published import DINO
from ovsskit.engine.model import ProjectsText
from ovsskit.engine.values import Image
from ovsskit.hub.published_file import PUBLISHED, describe_file
from ovsskit.hub.weights import HubFiles, Published, WeightsInfo


class Talk2dino(Tower, ProjectsText):
    """Describe patches by DINOv2 with registers, and bring CLIP's texts among them.

    Weights are those of `dino`; for the published projection ViT-B/14 with registers, and texts of
    OpenAI's ViT-B/16. That projection (3.9 MB, no licence stated) is fetched from its authors'
    repository at first use, compared with its SHA-256, and kept. It was trained on the captions of
    COCO; DINOv2 and CLIP are as they were. Tokens before the patches are the class token and the
    registers. Images keep their size; pixels left over at the right and bottom, less than a patch,
    are not seen.
    Source: Barsellotti et al. 2025, Talk2DINO; code lorebianchi98/Talk2DINO 4918c2d.
    """

    compiles: ClassVar[str] = r"encoder\.layer\.\d+"
    hub_files: ClassVar[HubFiles] = HubFiles(FOLDER_FILES, beside=("config.json",))
    published: ClassVar[Mapping[str, Published]] = DINO

    projection: Annotated[
        str,
        Field(
            description="`published`, or a file with the layers of a projection (safetensors, or "
            "of torch)"
        ),
    ] = PUBLISHED

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return nothing: the weights are those of `dino`, which recognises them."""
        return ""

    def load(self) -> Any:
        """Read the network from its weights.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        return checkpoint.read_network(self.need_weights(), self.dtype, 1e-6, with_norm=True)

    def read_files(self) -> dict[str, Path]:
        """Return the files of the model by name, its projection among them.

        Raises:
            MissingWeights, BadWeights: one is not there and cannot be fetched.
        """
        projection = need_projection(self.projection)
        return {**super().read_files(), f"projection{projection.suffix}": projection}

    def describe_parts(self) -> list[WeightsInfo]:
        """Say what is known of the projection."""
        return [describe_file(self.projection, PROJECTION, KNOWN)]

    def check_weights(self) -> None:
        """Refuse weights that do not fit, and a projection that is for others.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        width = checkpoint.check(self.need_weights())
        read_projection(need_projection(self.projection), width, shapes_only=True)

    def prepare(self) -> None:
        """Read the network and the projection."""
        super().prepare()
        _ = self.layers

    @cached_property
    def layers(self) -> Layers:
        """Return the layers of the projection.

        Raises:
            MissingWeights, BadWeights: there is none, or it is for other patches.
        """
        width = self.network.config.hidden_size
        found = read_projection(need_projection(self.projection), width)
        return [(weight.to(self._device), bias.to(self._device)) for weight, bias in found]

    @property
    def text_width(self) -> int:
        """Return how many numbers the text encoder's vectors have."""
        return int(self.layers[0][0].shape[1])

    def project_text(
        self, vectors: Float[torch.Tensor, "text width"]
    ) -> Float[torch.Tensor, "text out"]:
        """Return vectors of texts among the patches, not normalised."""
        return run_projection(self.layers, vectors.float())

    @property
    def patch(self) -> int:
        """Return the side of a patch, in pixels."""
        side: int = self.network.config.patch_size
        return side

    @property
    def blocks(self) -> Any:
        """Return the blocks in order."""
        return self.network.encoder.layer

    def normalise(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image's colours less ImageNet's mean, divided by its deviation."""
        return vision.normalise(image.data)

    def embed(
        self, pixels: Float[torch.Tensor, "image 3 h w"]
    ) -> Float[torch.Tensor, "image token width"]:
        """Return the tokens that enter the first block; positions as DINO's authors resize them."""
        return vision.embed(self.network, pixels, "original")[0]

    def normalise_tokens(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token width"]:
        """Normalise tokens as the model does after its last block."""
        with torch.no_grad():
            normalised: torch.Tensor = self.network.layernorm(tokens.to(self.dtype))
        return normalised

    def into_texts(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token out"]:
        """Return normalised tokens: texts are brought to them."""
        return tokens
