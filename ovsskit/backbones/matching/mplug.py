"""mPLUG: CLIP's image encoder, a text encoder, and fusion layers in which the text looks at the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from ovsskit._lazy import Float, torch
from ovsskit.backbones import _published
from ovsskit.backbones._checkpoint import FOLDER_FILES, WORDPIECES, convert
from ovsskit.backbones.matching._clip_tower import fit_grid, run_tower
from ovsskit.backbones.matching._fusion import Step, fuse
from ovsskit.backbones.matching._itm import ItmBackbone
from ovsskit.backbones.matching._mplug_checkpoint import (
    MPLUG,
    check_network,
    count_layers,
    fusion_kinds,
    read_network,
)
from ovsskit.backbones.matching._text import TextReader, Tokens, batch, clean_captions
from ovsskit.hub.weights import HubFiles, Published

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class Mplug(ItmBackbone):
    """Attend and match with mPLUG at any image size that is a multiple of the patch.

    Layers are those fusion layers that have cross-attention: with a stride of 3 the fourth runs on image and text
    together, and is not counted. Weights are an original checkpoint (`.pth`, `.bin`, or safetensors made of it), or its
    folder, with the `vocab.txt` of bert-base-uncased beside it. Source: Li et al. 2022, mPLUG.
    """

    hub_files: ClassVar[HubFiles] = HubFiles(
        FOLDER_FILES, WORDPIECES, beside=("config_bert.json", "config.json")
    )
    published: ClassVar[Mapping[str, Published]] = _published.MPLUG

    stride: Annotated[
        PositiveInt | Literal["as_published"],
        Field(
            description="every so many fusion layers one runs on image and text together; `as_published`: large 6, base 3"
        ),
    ] = "as_published"
    separator: Annotated[
        bool,
        Field(description="end captions with [SEP]: the authors' code does not, ModelScope's does"),
    ] = False
    clean: Annotated[
        bool, Field(description="read captions without punctuation, as the training did")
    ] = True

    def load(self) -> Any:
        """Read the network, its position embeddings resized to the grid of `image_size`.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
            BadValue: `image_size` is no multiple of the patch.
        """
        stride = None if self.stride == "as_published" else self.stride
        network = read_network(self.need_weights(), self.dtype, stride)
        visual = network.visual_encoder.visual
        fit_grid(visual, self.grid_of(visual.embeddings.patch_size), "bilinear")
        return network

    def check_weights(self) -> None:
        """Refuse weights and a tokenizer that do not fit, without reading tensors."""
        self.tokenizer(check_network(self.need_weights()))

    def convert_weights(self, file: Path) -> None:
        """Write an original checkpoint as safetensors, with what this backbone reads of it alone."""
        convert(self.need_weights(), MPLUG, file)

    def tokenizer(self, rows: int | None = None) -> Tokenizer:
        """Return the tokenizer that lies with the weights, which cleans captions unless told otherwise."""
        tokenizer = super().tokenizer(rows)
        if self.clean:
            clean_captions(tokenizer)
        return tokenizer

    @cached_property
    def reader(self) -> TextReader:
        """Return what encodes captions."""
        text = self.network.config.text_config
        tokenizer = self.tokenizer(text.vocab_size)
        return TextReader(tokenizer, text.max_position_embeddings, separator=self.separator)

    def known_layer_count(self) -> int | None:
        """Return the number of layers with cross-attention; None where weights are here that are not quick to ask."""
        stride = None if self.stride == "as_published" else self.stride
        return count_layers(Path(self.weights).expanduser(), stride)

    @property
    def steps(self) -> list[Step]:
        """Return the text layers and the fusion layers, and how each runs."""
        fusion = self.network.fusion_encoder.encoder.layer.values()
        kinds = fusion_kinds(len(fusion), self.network.config.stride)
        first: list[Step] = [("text", layer) for layer in self.network.text_encoder.encoder.layer]
        return [*first, *zip(kinds, fusion, strict=True)]

    @property
    def layer_count(self) -> int:
        """Return the number of fusion layers that have cross-attention."""
        return sum(kind == "cross" for kind, _ in self.steps)

    @property
    def patch_size(self) -> int:
        """Return the width of a patch in pixels."""
        return int(self.network.visual_encoder.visual.embeddings.patch_size)

    def look(
        self, pixels: Float[torch.Tensor, "image 3 h w"]
    ) -> Float[torch.Tensor, "image key width"]:
        """Return the image encoder's output, class token first, brought to the text's width."""
        visual = self.network.visual_encoder.visual
        [state] = run_tower(visual, pixels, 1)
        found: torch.Tensor = self.network.visn_layer_norm(
            self.network.visn_fc(visual.forward_post(state))
        )
        return found

    def fuse(
        self,
        features: Float[torch.Tensor, "image key width"],
        rows: Sequence[Sequence[Tokens]],
        wanted: Sequence[int],
    ) -> tuple[Float[torch.Tensor, "image caption 2"], list[Float[torch.Tensor, "_ head _ key"]]]:
        """Run text encoder and fusion layers; the matching head reads the first token."""
        ids, mask = (tensor.to(self._device) for tensor in batch(rows))
        with torch.no_grad():
            hidden = self.network.text_encoder.embeddings(input_ids=ids.flatten(0, 1))
        hidden, attention = fuse(self.steps, hidden, mask.flatten(0, 1), features, wanted)
        return self.network.itm_head(hidden[:, 0]).unflatten(0, ids.shape[:2]), attention
