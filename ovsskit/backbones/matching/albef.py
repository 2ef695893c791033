"""ALBEF: a ViT, and a text encoder whose second half looks at its patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.backbones import _published
from ovsskit.backbones._checkpoint import FOLDER_FILES, WORDPIECES, convert
from ovsskit.backbones.matching._albef_checkpoint import ALBEF, check_network, read_network
from ovsskit.backbones.matching._blip_tower import BlipTowerBackbone
from ovsskit.backbones.matching._fusion import Step, fuse
from ovsskit.backbones.matching._text import TextReader, Tokens, batch, clean_captions
from ovsskit.hub.weights import HubFiles, Published

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class Albef(BlipTowerBackbone):
    """Attend and match with ALBEF at any image size that is a multiple of the patch.

    Layers are those of the text encoder's second half. Weights are an original checkpoint of the authors or of LAVIS
    (`.pth`, `.pt`, or safetensors made of it), or its folder, with the `vocab.txt` of bert-base-uncased beside it. Source:
    Li et al. 2021, ALBEF.
    """

    hub_files: ClassVar[HubFiles] = HubFiles(
        FOLDER_FILES, WORDPIECES, beside=("config_bert.json", "config.json")
    )
    published: ClassVar[Mapping[str, Published]] = _published.ALBEF
    published_layers: ClassVar[int] = 6
    layer_names: ClassVar[str] = r"text_encoder\.(?:bert\.)?encoder\.layer\.(\d+)\.crossattention\."

    separator: Annotated[
        bool | Literal["as_trained"],
        Field(
            description="end captions with [SEP]; `as_trained`: not for the authors' checkpoints, but for those of LAVIS"
        ),
    ] = "as_trained"
    clean: Annotated[
        bool, Field(description="read captions without punctuation, as the training did")
    ] = True

    def read(self) -> Any:
        """Read the network from its weights."""
        return read_network(self.need_weights(), self.dtype)

    def check_weights(self) -> None:
        """Refuse weights and a tokenizer that do not fit, without reading tensors."""
        self.tokenizer(check_network(self.need_weights()))

    def convert_weights(self, file: Path) -> None:
        """Write an original checkpoint as safetensors, with what this backbone reads of it alone."""
        convert(self.need_weights(), ALBEF, file)

    def tokenizer(self, rows: int | None = None) -> Tokenizer:
        """Return the tokenizer that lies with the weights, which cleans captions unless told otherwise."""
        tokenizer = super().tokenizer(rows)
        if self.clean:
            clean_captions(tokenizer)
        return tokenizer

    @cached_property
    def reader(self) -> TextReader:
        """Return what encodes captions; the authors' checkpoints know token types, and were trained without [SEP]."""
        config = self.network.config
        tokenizer = self.tokenizer(config.text_config.vocab_size)
        separator = not config.has_token_types if self.separator == "as_trained" else self.separator
        return TextReader(
            tokenizer, config.text_config.max_position_embeddings, separator=separator
        )

    @property
    def layer_count(self) -> int:
        """Return the number of layers of the text encoder that have cross-attention."""
        return len(self.network.text_encoder.encoder.layer) - int(self.network.config.fusion_layer)

    def fuse(
        self,
        features: Float[torch.Tensor, "image key width"],
        rows: Sequence[Sequence[Tokens]],
        wanted: Sequence[int],
    ) -> tuple[Float[torch.Tensor, "image caption 2"], list[Float[torch.Tensor, "_ head _ key"]]]:
        """Run the text encoder: its first layers on the text alone. The matching head reads the first token."""
        ids, mask = (tensor.to(self._device) for tensor in batch(rows))
        with torch.no_grad():
            hidden = self.network.text_encoder.embeddings(input_ids=ids.flatten(0, 1))
        start = self.network.config.fusion_layer
        layers = enumerate(self.network.text_encoder.encoder.layer)
        steps: list[Step] = [
            ("cross" if index >= start else "text", layer) for index, layer in layers
        ]
        hidden, attention = fuse(steps, hidden, mask.flatten(0, 1), features, wanted)
        return self.network.itm_head(hidden[:, 0]).unflatten(0, ids.shape[:2]), attention
