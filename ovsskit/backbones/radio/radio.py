"""C-RADIO: one vision transformer that was taught by several, among them models of texts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import FOLDER_FILES
from ovsskit.backbones._colours import Colour, standardise
from ovsskit.backbones._tower import Tower
from ovsskit.backbones.radio import _checkpoint as checkpoint
from ovsskit.backbones.radio._head import run_head
from ovsskit.backbones.radio._names import recognise
from ovsskit.backbones.radio._published import RADIO
from ovsskit.engine.values import Image
from ovsskit.errors import BadWeights
from ovsskit.hub.weights import HubFiles, Published


class Radio(Tower):
    """Encode patches by any C-RADIO, and bring them into the space of a teacher that read texts.

    Weights are a hub id or folder (without heads: it guides other models then), or NVIDIA's own
    checkpoint (`.pth.tar`), which holds a head for every teacher; it is read as numbers, and none
    of its code runs. Texts are encoded by the teacher itself: of C-RADIOv3 and v4 that is
    SigLIP 2's largest. Images keep their size; pixels left over at the right and bottom, less than
    a patch, are not seen. Tokens before the patches are class tokens and registers, as one.
    Source: Ranzinger et al. 2024, AM-RADIO; Heinrich et al. 2025, RADIOv2.5; the network is that of
    transformers.
    """

    compiles: ClassVar[str] = r"encoder\.layer\.\d+"
    hub_files: ClassVar[HubFiles] = HubFiles(FOLDER_FILES, beside=("config.json",))
    published: ClassVar[Mapping[str, Published]] = RADIO

    language: Annotated[
        str,
        Field(
            min_length=1,
            description="the teacher into whose space patches are brought, by its name in the "
            "checkpoint or by how that begins",
        ),
    ] = "siglip2"
    mean: Annotated[
        Colour, Field(description="red, green and blue to subtract, to 255; the model's if empty")
    ] = ()
    deviation: Annotated[
        Colour, Field(description="red, green and blue to divide by, to 255; the model's if empty")
    ] = ()

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return RADIO's name if tensors of such names are one of it, else an empty text."""
        return recognise(names)

    def load(self) -> Any:
        """Read the network from its weights.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        return checkpoint.read_network(self.need_weights(), self.dtype, self.language)

    def check_weights(self) -> None:
        """Refuse weights that do not fit, by the names and shapes of their tensors.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        checkpoint.check(self.need_weights(), self.language)

    def convert_weights(self, file: Path) -> None:
        """Write the checkpoint as safetensors, with the heads of all teachers.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        checkpoint.convert(self.need_weights(), file)

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
        """Return an image's colours less the mean, divided by the deviation."""
        mean, deviation = ([255 * one for one in colours] for colours in self.network.colours)
        return standardise(image.data, self.mean or mean, self.deviation or deviation)

    def embed(
        self, pixels: Float[torch.Tensor, "image 3 h w"]
    ) -> Float[torch.Tensor, "image token width"]:
        """Return the tokens that enter the first block."""
        tokens: torch.Tensor = self.network.embeddings(pixels)
        return tokens

    def normalise_tokens(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token width"]:
        """Return the tokens: RADIO normalises nothing after its last block."""
        return tokens

    def into_texts(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token out"]:
        """Bring tokens into the teacher's space, by the head that was trained for class tokens.

        Raises:
            BadWeights: the weights have no heads.
        """
        if self.network.head is None:
            what = "These weights have no heads, which map patches into the space of texts."
            fix = "Give NVIDIA's own checkpoint: `ovsskit models radseg` says where it is."
            raise BadWeights(what, fix=fix)
        with torch.no_grad():
            return run_head(self.network.head, tokens.to(self.dtype))
