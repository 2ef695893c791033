"""mPLUG: CLIP's image encoder, a text encoder, and fusion layers that look at the image."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import count_of, stored_names
from ovsskit.backbones.matching._clip_tower import run_tower
from ovsskit.backbones.matching._family import Family, read_sizes
from ovsskit.backbones.matching._fusion import AuthorsBackbone, Step
from ovsskit.backbones.matching._mplug_checkpoint import FUSION_LAYERS, MPLUG, STRIDES, fusion_kinds
from ovsskit.backbones.matching._text import TextReader


class Mplug(AuthorsBackbone):
    """Attend and match with mPLUG at any image size that is a multiple of the patch.

    Layers are those fusion layers that have cross-attention: with a stride of 3 the fourth runs on
    image and text together, and is not counted. Weights are an original checkpoint (`.pth`, `.bin`,
    or safetensors made of it), or its folder, with the `vocab.txt` of bert-base-uncased beside it.
    Source: Li et al. 2022, mPLUG.
    """

    family: ClassVar[Family] = MPLUG
    resampling: ClassVar[Literal["bicubic", "bilinear"]] = "bilinear"

    stride: Annotated[
        PositiveInt | Literal["as_published"],
        Field(
            description="one in this many fusion layers runs on image and text together; "
            "`as_published`: large 6, base 3"
        ),
    ] = "as_published"
    separator: Annotated[
        bool,
        Field(description="end captions with [SEP]: the authors' code does not, ModelScope's does"),
    ] = False

    @property
    def given(self) -> Mapping[str, Any]:
        """Return what this backbone says of the network, whatever lies with the weights."""
        return {} if self.stride == "as_published" else {"stride_layer": self.stride}

    @cached_property
    def reader(self) -> TextReader:
        """Return what encodes captions."""
        text = self.network.config.text_config
        tokenizer = self.tokenizer(text.vocab_size)
        return TextReader(tokenizer, text.max_position_embeddings, separator=self.separator)

    def known_layer_count(self) -> int | None:
        """Return the number of layers with cross-attention; None where only reading would tell.

        What is not here is taken for a published model: base if its name says so, else large.
        """
        path = Path(self.weights).expanduser()
        names = [MPLUG.rename(name) for name in stored_names(path)]
        fused = count_of(names, MPLUG.layers)
        if (names and not fused) or (not names and path.exists() and not self.given):
            return None
        said = {**read_sizes(path), **self.given}
        is_base = "visn_fc.weight" not in names if names else "base" in path.name
        layers = min(said.get("fusion_layers", FUSION_LAYERS), fused or FUSION_LAYERS)
        stride = said.get("stride_layer", STRIDES["base" if is_base else "large"])
        return fusion_kinds(layers, stride).count("cross")

    @property
    def steps(self) -> list[Step]:
        """Return the text layers and the fusion layers, and how each runs."""
        fusion = self.network.fusion_encoder.encoder.layer.values()
        kinds = fusion_kinds(len(fusion), self.network.config.stride)
        first: list[Step] = [("text", layer) for layer in self.network.text_encoder.encoder.layer]
        return [*first, *zip(kinds, fusion, strict=True)]

    def encode_image(
        self, pixels: Float[torch.Tensor, "image 3 h w"]
    ) -> Float[torch.Tensor, "image key width"]:
        """Return the image encoder's output, class token first, brought to the text's width."""
        network, visual = self.network, self.network.visual_encoder.visual
        [state] = run_tower(visual, pixels, 1)
        found: torch.Tensor = network.visn_layer_norm(network.visn_fc(visual.forward_post(state)))
        return found
