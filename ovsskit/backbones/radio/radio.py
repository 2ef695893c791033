"""C-RADIO: one vision transformer that was taught by several, among them models of texts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import FOLDER_FILES
from ovsskit.backbones._sizes import run_by_size
from ovsskit.backbones.clip.clip import Colour
from ovsskit.backbones.radio import _checkpoint as checkpoint
from ovsskit.backbones.radio._head import run_head
from ovsskit.backbones.radio._names import recognise
from ovsskit.backbones.radio._published import RADIO
from ovsskit.engine.model import EncodesPatches, Facet, GuidesPatches, PretrainedBackbone
from ovsskit.engine.model.guides_patches import facet_of
from ovsskit.engine.sending import send_numbers
from ovsskit.engine.values import GuideFeatures, Hidden, Image
from ovsskit.engine.values.features import on_grid
from ovsskit.errors import BadValue, BadWeights
from ovsskit.hub.weights import HubFiles, Published


class Radio(PretrainedBackbone, EncodesPatches, GuidesPatches):
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
    def block_count(self) -> int:
        """Return the number of blocks."""
        return len(self.network.encoder.layer)

    def pixels(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image as the network sees it: normalised, in whole patches, hidden ones at 0.

        Raises:
            BadValue: the image is smaller than a patch.
        """
        patch, (height, width) = self.patch, image.size
        if min(height, width) < patch:
            what = f"An image is {width} x {height} pixels, smaller than a patch of {patch}."
            raise BadValue(what, fix="Enlarge it first: resize_image.")
        own = [[255 * one for one in colours] for colours in self.network.colours]
        middle, spread = (
            send_numbers(colours, image.data)[:, None, None]
            for colours in (self.mean or own[0], self.deviation or own[1])
        )
        data = (image.data * 255 - middle) / spread
        if image.hidden is not None:
            hidden = image.hidden.repeat_interleave(patch, 0).repeat_interleave(patch, 1)
            data[:, : hidden.shape[0], : hidden.shape[1]] *= ~hidden[:height, :width]
        return data[:, : height - height % patch, : width - width % patch]

    def hidden(self, images: Sequence[Image], layers: Sequence[int]) -> list[Hidden]:
        """Run the network up to the last of these blocks (numbers from 1).

        Raises:
            BadValue: the network has no such block, or an image is smaller than a patch.
        """
        wanted = tuple(sorted(set(layers)))
        if not wanted or min(wanted) < 1 or max(wanted) > self.block_count:
            asked = ", ".join(map(str, wanted))
            raise BadValue(f"Layers {asked} are asked for; the model has 1 to {self.block_count}.")
        return run_by_size(images, lambda alike: self._enter(alike, wanted))

    def _enter(self, images: Sequence[Image], wanted: tuple[int, ...]) -> list[Hidden]:
        kept = []
        with torch.no_grad():
            tokens, grid = self._embed(images)
            for number, block in enumerate(self.network.encoder.layer[: wanted[-1]], 1):
                if number in wanted:
                    kept.append(tokens)
                if number < wanted[-1]:
                    tokens = block(tokens)
        return [Hidden(data, wanted, grid) for data in torch.stack(kept, 1)]

    def _embed(
        self, images: Sequence[Image]
    ) -> tuple[Float[torch.Tensor, "image token width"], tuple[int, int]]:
        pixels = torch.stack([self.pixels(image) for image in images]).to(self._device, self.dtype)
        grid = (pixels.shape[2] // self.patch, pixels.shape[3] // self.patch)
        return self.network.embeddings(pixels), grid

    def guide(self, images: Sequence[Image], facet: Facet) -> list[GuideFeatures]:
        """Return the features of the patches of each image.

        Raises:
            BadValue: an image is smaller than a patch.
        """
        if facet == "token":
            return run_by_size(images, self._leave)
        last = self.block_count
        return [
            GuideFeatures(on_grid(vectors[hidden.others :].float(), hidden.grid))
            for hidden in self.hidden(images, [last])
            for vectors in [facet_of(self.project(hidden, last), facet)]
        ]

    def _leave(self, images: Sequence[Image]) -> list[GuideFeatures]:
        """Return what leaves the network for images of one size; nothing normalises it."""
        with torch.no_grad():
            tokens, grid = self._embed(images)
            for block in self.network.encoder.layer:
                tokens = block(tokens)
        patches = tokens[:, -grid[0] * grid[1] :].float()
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
            block = self.network.encoder.layer[layer - 1]
            attention, normalised = block.attention, block.norm1(hidden.entering(layer))
            queries, keys, values = (
                one(normalised).unflatten(-1, (attention.num_attention_heads, -1)).transpose(0, 1)
                for one in (attention.q_proj, attention.k_proj, attention.v_proj)
            )
        return queries, keys, values

    def norms(self, hidden: Hidden, layer: int) -> Float[torch.Tensor, " token"]:
        """Return the lengths of the tokens that enter a block, after its first normalisation."""
        with torch.no_grad():
            normalised = self.network.encoder.layer[layer - 1].norm1(hidden.entering(layer))
            lengths: torch.Tensor = normalised.float().norm(dim=-1)
        return lengths

    def join_heads(
        self, layer: int, vectors: Float[torch.Tensor, "head token depth"]
    ) -> Float[torch.Tensor, "token width"]:
        """Put the heads' vectors together, and project them as a block projects what it gathers."""
        with torch.no_grad():
            block = self.network.encoder.layer[layer - 1]
            joined = vectors.to(self.dtype).transpose(0, 1).flatten(1)
            found: torch.Tensor = block.layer_scale1(block.attention.o_proj(joined))
        return found

    def feed_forward(
        self, layer: int, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token width"]:
        """Return tokens with a block's second half added."""
        with torch.no_grad():
            block, tokens = self.network.encoder.layer[layer - 1], tokens.to(self.dtype)
            fed: torch.Tensor = tokens + block.layer_scale2(block.mlp(block.norm2(tokens)))
        return fed

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
            what = "These weights have no heads, which bring patches into the space of texts."
            fix = "Give NVIDIA's own checkpoint: `ovsskit models radseg` says where it is."
            raise BadWeights(what, fix=fix)
        with torch.no_grad():
            return run_head(self.network.head, tokens.to(self.dtype))
