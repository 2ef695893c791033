"""DINO and DINOv2: tokens of patches from vision transformers that were trained without labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import FOLDER_FILES
from ovsskit.backbones.dino import _checkpoint as checkpoint
from ovsskit.backbones.dino import _vision as vision
from ovsskit.backbones.dino._names import recognise
from ovsskit.backbones.dino._published import DINO
from ovsskit.engine.model import EncodesTokens, PretrainedBackbone
from ovsskit.engine.sending import send_numbers
from ovsskit.engine.values import Hidden, Image
from ovsskit.errors import BadValue
from ovsskit.hub.weights import HubFiles, Published

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, which all these models were trained with."""


class Dino(PretrainedBackbone, EncodesTokens):
    """Give the tokens of any vision transformer of DINO or DINOv2, with registers or without.

    Weights are a hub id, a folder in Hugging Face format, or a checkpoint of the authors (`.pth`).
    Images keep their size; registers are left out of what is handed on.
    Source: Caron et al. 2021, DINO; Oquab et al. 2023, DINOv2; Darcet et al. 2023, registers.
    """

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
        config = (path if path.is_dir() else path.parent) / "config.json"
        checkpoint.convert(path, file, [config] if config.is_file() else [])

    @property
    def patch(self) -> int:
        """Return the side of a patch, in pixels."""
        side: int = self.network.embeddings.patch_embeddings.projection.kernel_size[0]
        return side

    @property
    def block_count(self) -> int:
        """Return the number of blocks."""
        return len(self.network.encoder.layer)

    def pixels(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image as the network sees it: normalised, in whole patches, hidden ones at 0.

        Raises:
            BadValue: the image is smaller than a patch, and is not to be padded.
        """
        middle, spread = (
            send_numbers(values, image.data)[:, None, None] for values in (MEAN, DEVIATION)
        )
        data = (image.data - middle) / spread
        missing = [-side % self.patch for side in image.size]
        if self.leftover == "pad":
            data = torch.nn.functional.pad(data, (0, missing[1], 0, missing[0]))
        elif min(image.size) < self.patch:
            height, width = image.size
            what = f"An image is {width} x {height} pixels, smaller than a patch of {self.patch}."
            raise BadValue(what, fix='Enlarge it first: resize_image. Or say leftover = "pad".')
        if image.hidden is not None:
            hidden = image.hidden.repeat_interleave(self.patch, 0).repeat_interleave(self.patch, 1)
            rows, columns = data.shape[1:]
            data[:, : hidden.shape[0], : hidden.shape[1]] *= ~hidden[:rows, :columns]
        return data

    def hidden(self, images: Sequence[Image], layers: Sequence[int]) -> list[Hidden]:
        """Run the network up to the last of these blocks (numbers from 1).

        Raises:
            BadValue: the network has no such block, or an image is smaller than a patch.
        """
        wanted = tuple(sorted(set(layers)))
        if not wanted or min(wanted) < 1 or max(wanted) > self.block_count:
            asked = ", ".join(map(str, wanted))
            raise BadValue(f"Layers {asked} are asked for; the model has 1 to {self.block_count}.")
        sizes: dict[tuple[int, int], list[int]] = {}
        for index, image in enumerate(images):
            sizes.setdefault(image.size, []).append(index)
        found: dict[int, Hidden] = {}
        for indices in sizes.values():
            alike = self._run([images[index] for index in indices], wanted)
            found.update(zip(indices, alike, strict=True))
        return [found[index] for index in range(len(images))]

    def _run(self, images: Sequence[Image], wanted: tuple[int, ...]) -> list[Hidden]:
        """Run images of one size together."""
        network, kept = self.network, []
        with torch.no_grad():
            pixels = torch.stack([self.pixels(image) for image in images]).to(self._device)
            tokens, grid = vision.embed(network, pixels, self.positions)
            for number, block in enumerate(network.encoder.layer[: wanted[-1]], 1):
                if number in wanted:
                    kept.append(vision.without_registers(network, tokens))
                if number < wanted[-1]:
                    tokens = block(tokens)
        return [Hidden(data, wanted, grid) for data in torch.stack(kept, 1)]

    def project(
        self, hidden: Hidden, layer: int
    ) -> tuple[
        Float[torch.Tensor, "head token depth"],
        Float[torch.Tensor, "head token depth"],
        Float[torch.Tensor, "head token depth"],
    ]:
        """Return a block's queries, keys and values of the tokens that enter it."""
        with torch.no_grad():
            return vision.project(self.network.encoder.layer[layer - 1], hidden.entering(layer))

    def norms(self, hidden: Hidden, layer: int) -> Float[torch.Tensor, " token"]:
        """Return the lengths of the tokens that enter a block, after its first normalisation."""
        with torch.no_grad():
            normalised = self.network.encoder.layer[layer - 1].norm1(hidden.entering(layer))
            lengths: torch.Tensor = normalised.float().norm(dim=-1)
        return lengths
