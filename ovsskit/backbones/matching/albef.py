"""ALBEF: a ViT, and a text encoder whose second half looks at its patches."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ovsskit.backbones.matching._albef_checkpoint import ALBEF
from ovsskit.backbones.matching._family import Family
from ovsskit.backbones.matching._fusion import AuthorsBackbone
from ovsskit.backbones.matching._text import TextReader


class Albef(AuthorsBackbone):
    """Attend and match with ALBEF at any image size that is a multiple of the patch.

    Layers are those of the text encoder's second half. Weights are an original checkpoint of the
    authors or of LAVIS (`.pth`, `.pt`, or safetensors made of it), or its folder, with the
    `vocab.txt` of bert-base-uncased beside it. Source: Li et al. 2021, ALBEF.
    """

    family: ClassVar[Family] = ALBEF

    separator: Annotated[
        bool | Literal["as_trained"],
        Field(
            description="end captions with [SEP]; `as_trained`: not for the authors' checkpoints, "
            "but for those of LAVIS"
        ),
    ] = "as_trained"

    @cached_property
    def reader(self) -> TextReader:
        """Return what encodes captions.

        The authors' checkpoints know token types, and were trained without [SEP].
        """
        config = self.network.config
        text, separator = config.text_config, self.separator
        if separator == "as_trained":
            separator = not config.has_token_types
        tokenizer = self.tokenizer(text.vocab_size)
        return TextReader(tokenizer, text.max_position_embeddings, separator=separator)
