"""Models whose text layers look at the image's tokens one after the other: ALBEF, BLIP, mPLUG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import Float, Int, torch
from ovsskit.backbones.matching._family import AUTHORS_FILES
from ovsskit.backbones.matching._itm import ItmBackbone
from ovsskit.backbones.matching._text import Tokens, batch
from ovsskit.backbones.matching._tokenizer import read_tokenizer
from ovsskit.backbones.matching._vit import run_vit
from ovsskit.engine.sending import send
from ovsskit.hub.weights import HubFiles

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Step = tuple[Literal["text", "cross", "connected"], Any]
"""A layer and how it runs: on text alone; with cross-attention to the image; on both together."""
MASKED = -10000.0
"""What BERT's kin add to the attention to padding."""


class FusionBackbone(ItmBackbone):
    """Match by a BERT with cross-attention to the tokens of an image, by default those of a ViT."""

    @property
    def steps(self) -> list[Step]:
        """Return the layers of text, and how each runs: the first ones may run on it alone."""
        layers, start = self.network.text_encoder.encoder.layer, self.network.config.fusion_layer
        return [("cross" if index >= start else "text", one) for index, one in enumerate(layers)]

    @property
    def layer_count(self) -> int:
        """Return the number of layers that have cross-attention."""
        return sum(kind == "cross" for kind, _ in self.steps)

    def encode_image(
        self, pixels: Float[torch.Tensor, "image 3 h w"]
    ) -> Float[torch.Tensor, "image key width"]:
        """Return the image encoder's output, class token first."""
        return run_vit(self.network.vision_model, pixels)

    def fuse_text(
        self,
        features: Float[torch.Tensor, "image key width"],
        rows: Sequence[Sequence[Tokens]],
        wanted: Sequence[int],
    ) -> tuple[Float[torch.Tensor, "image caption 2"], list[Float[torch.Tensor, "_ head _ key"]]]:
        """Run the layers of text; the matching head reads the first token."""
        ids, mask = (send(tensor, self._device) for tensor in batch(rows))
        with torch.no_grad():
            hidden = self.network.text_encoder.embeddings(input_ids=ids.flatten(0, 1))
        hidden, attention = fuse(self.steps, hidden, mask.flatten(0, 1), features, wanted)
        return self.network.itm_head(hidden[:, 0]).unflatten(0, ids.shape[:2]), attention


class AuthorsBackbone(FusionBackbone):
    """Match by a checkpoint of its authors, who trained on captions without punctuation."""

    hub_files: ClassVar[HubFiles] = AUTHORS_FILES

    clean: Annotated[
        bool, Field(description="read captions without punctuation, as the training did")
    ] = True

    def tokenizer(self, rows: int | None = None) -> Tokenizer:
        """Return the tokenizer that lies with the weights; it cleans captions if it shall."""
        return read_tokenizer(self.need_weights(), self.text, rows, clean=self.clean)


def fuse(
    steps: Sequence[Step],
    hidden: Float[torch.Tensor, "row token width"],
    mask: Int[torch.Tensor, "row token"],
    features: Float[torch.Tensor, "image key features"],
    wanted: Sequence[int],
) -> tuple[Float[torch.Tensor, "row token width"], list[Float[torch.Tensor, "_ head _ key"]]]:
    """Run layers; return the text's last state, and the wanted cross-attention, tied by a graph.

    Wanted layers count from 1 among those with cross-attention; what runs before the first of them
    keeps no graph. The rows of an image follow each other. They form one row of queries, so that
    keys and values are computed once for all of them, until a connected layer gives every row an
    image of its own; attention has one entry for each of these.
    """
    rows, length, _ = hidden.shape
    kept, number = [], 0
    padding = (1 - mask[:, None, None]).to(hidden.dtype) * MASKED
    for kind, layer in steps:
        number += kind == "cross"
        with torch.set_grad_enabled(bool(wanted) and number >= min(wanted)):
            if kind == "connected":
                hidden, features = _connect(layer, hidden, padding, features)
                continue
            if kind == "cross" and wanted and number == min(wanted):
                hidden = hidden.detach().requires_grad_()
            hidden = layer.attention(hidden, attention_mask=padding)[0]
            if kind == "cross":
                hidden = hidden.view(len(features), rows // len(features) * length, -1)
                hidden, attention = layer.crossattention(hidden, encoder_hidden_states=features)
                kept += [attention] if number in wanted else []
            hidden = layer.feed_forward_chunk(hidden).view(rows, length, -1)
    return hidden, kept


def _connect(layer: Any, hidden: Any, padding: Any, features: Any) -> tuple[Any, Any]:
    """Run a layer over image and text together; what it makes of the image is added to it."""
    features = features.repeat_interleave(len(hidden) // len(features), 0)
    keys = features.shape[1]
    both = layer.attention(
        torch.cat([features, hidden], 1), attention_mask=torch.nn.functional.pad(padding, (keys, 0))
    )[0]
    both = layer.feed_forward_chunk(both)
    return both[:, keys:], features + both[:, :keys]
