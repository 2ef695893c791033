"""BLIP fine-tuned for image-text matching: a ViT, and a text encoder that looks at its patches."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ovsskit.backbones._checkpoint import FOLDER_FILES
from ovsskit.backbones.matching._blip_checkpoint import BLIP
from ovsskit.backbones.matching._family import Family
from ovsskit.backbones.matching._fusion import FusionBackbone
from ovsskit.backbones.matching._text import TextReader
from ovsskit.backbones.matching._tokenizer import WORDPIECES
from ovsskit.hub.weights import HubFiles


class BlipItm(FusionBackbone):
    """Attend and match with BLIP (`BlipForImageTextRetrieval`) at any multiple of its patch.

    Weights are a hub id, a local folder in Hugging Face format, or an original checkpoint of LAVIS
    (`.pth`, with the tokenizer's `vocab.txt` beside it). Source: Li et al. 2022, BLIP; LAVIS.
    """

    family: ClassVar[Family] = BLIP
    embedded: ClassVar[Path] = Path(__file__).parents[2] / "embedded" / "blip_itm"
    hub_files: ClassVar[HubFiles] = HubFiles(FOLDER_FILES, WORDPIECES.choices, config="config.json")

    @cached_property
    def reader(self) -> TextReader:
        """Return what encodes captions; [ENC] is `enc_token_id`, or the last id."""
        text = self.network.config.text_config
        tokenizer = self.tokenizer(text.vocab_size)
        limit = min(text.max_position_embeddings, 512)
        return TextReader(tokenizer, limit, getattr(text, "enc_token_id", text.vocab_size - 1))
