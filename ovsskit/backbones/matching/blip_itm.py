"""BLIP fine-tuned for image-text matching: a ViT, and a text encoder that looks at its patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from ovsskit._lazy import Float, torch
from ovsskit.backbones import _published
from ovsskit.backbones._checkpoint import FOLDER_FILES, WORDPIECES, convert
from ovsskit.backbones.matching._blip_checkpoint import BLIP, check_network, read_network
from ovsskit.backbones.matching._blip_tower import BlipTowerBackbone
from ovsskit.backbones.matching._fusion import Step, fuse
from ovsskit.backbones.matching._text import TextReader, Tokens, batch
from ovsskit.hub.weights import HubFiles, Published


class BlipItm(BlipTowerBackbone):
    """Attend and match with BLIP (`BlipForImageTextRetrieval`) at any image size that is a multiple of the patch.

    Weights are a hub id, a local folder in Hugging Face format, or an original checkpoint of LAVIS (`.pth`, with the
    tokenizer's `vocab.txt` beside it). Source: Li et al. 2022, BLIP; LAVIS.
    """

    embedded: ClassVar[Path] = Path(__file__).parents[2] / "embedded" / "blip_itm"

    hub_files: ClassVar[HubFiles] = HubFiles(FOLDER_FILES, WORDPIECES, config="config.json")
    published: ClassVar[Mapping[str, Published]] = _published.BLIP_ITM
    published_layers: ClassVar[int] = 12
    layer_names: ClassVar[str] = r"text_encoder\.(?:bert\.)?encoder\.layer\.(\d+)\.crossattention\."

    def read(self) -> Any:
        """Read the network from its weights."""
        return read_network(self.need_weights(), self.dtype)

    def check_weights(self) -> None:
        """Refuse weights and a tokenizer that do not fit, without reading tensors."""
        self.tokenizer(check_network(self.need_weights()))

    def convert_weights(self, file: Path) -> None:
        """Write an original checkpoint as safetensors, with what this backbone reads of it alone."""
        convert(self.need_weights(), BLIP, file)

    @cached_property
    def reader(self) -> TextReader:
        """Return what encodes captions; [ENC] is the configuration's `enc_token_id`, or the last id."""
        text = self.network.config.text_config
        tokenizer = self.tokenizer(text.vocab_size)
        limit = min(text.max_position_embeddings, 512)
        return TextReader(tokenizer, limit, getattr(text, "enc_token_id", text.vocab_size - 1))

    @property
    def layer_count(self) -> int:
        """Return the number of layers of the text encoder, all of which have cross-attention."""
        return len(self.network.text_encoder.encoder.layer)

    def fuse(
        self,
        features: Float[torch.Tensor, "image key width"],
        rows: Sequence[Sequence[Tokens]],
        wanted: Sequence[int],
    ) -> tuple[Float[torch.Tensor, "image caption 2"], list[Float[torch.Tensor, "_ head _ key"]]]:
        """Run the text encoder; its matching head reads the first token."""
        ids, mask = (tensor.to(self._device) for tensor in batch(rows))
        with torch.no_grad():
            hidden = self.network.text_encoder.embeddings(input_ids=ids.flatten(0, 1))
        steps: list[Step] = [("cross", layer) for layer in self.network.text_encoder.encoder.layer]
        hidden, attention = fuse(steps, hidden, mask.flatten(0, 1), features, wanted)
        return self.network.itm_head(hidden[:, 0]).unflatten(0, ids.shape[:2]), attention
