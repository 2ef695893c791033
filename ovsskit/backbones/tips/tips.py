"""TIPSv2: a vision transformer whose patches were trained to lie among the texts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import FOLDER_FILES, has_marks
from ovsskit.backbones._hub_network import read_hub_network
from ovsskit.backbones._tower import Tower
from ovsskit.backbones.clip._text import TextReader
from ovsskit.backbones.tips._published import TIPS
from ovsskit.backbones.tips._text import TOKENIZERS, encode_texts, make_reader
from ovsskit.engine.model import DescribesPatchesAndText, EncodesImageAndText
from ovsskit.engine.readable import Reading
from ovsskit.engine.values import Image
from ovsskit.hub.weights import HubFiles, Published


class Tips(Tower, DescribesPatchesAndText, EncodesImageAndText):
    """Encode patches, whole images and texts with any TIPSv2.

    Weights are a hub id or a folder in its format. Patches are compared with texts as they leave
    the network, or by the values of the last block, as the authors' own zero-shot segmentation
    does. Colours from 0 to 1 go in as they are. Positions are resized bilinearly with antialiasing.
    Images keep their size; pixels left over at the right and bottom, less than a patch, are not
    seen. Texts are read in lower case.
    Source: Cao et al. 2026, TIPSv2; transformers (`Tipsv2Model`).
    """

    waits: ClassVar[str] = "transformers asks whether any of the texts is padded"
    compiles: ClassVar[str] = r"vision_model\.encoder\.layer\.\d+"
    hub_files: ClassVar[HubFiles] = HubFiles(
        FOLDER_FILES, TOKENIZERS, config="config.json", beside=("tokenizer_config.json",)
    )
    published: ClassVar[Mapping[str, Published]] = TIPS

    weights: Annotated[str, Field(description="a hub id, or a local folder in its format")]

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return TIPSv2's name if tensors of such names are one of it, else an empty text."""
        marks = (
            r"^vision_(encoder|model)\..*register_tokens$",
            r"^text_(encoder|model)\..*token_embedding\.",
        )
        return "TIPSv2" if has_marks(names, marks) else ""

    def load(self) -> Any:
        """Read the network from its folder.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        fix = f"Give a folder in the format of the hub, such as {next(iter(self.published))}."
        return read_hub_network(self.need_weights(), "Tipsv2Model", self.dtype, "TIPSv2", fix)

    def check_weights(self) -> None:
        """Refuse weights that do not fit.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        self.load()

    @cached_property
    def reader(self) -> TextReader:
        """Return what turns texts into tokens."""
        return make_reader(self.need_weights(), READS)

    def read_word(self, word: str) -> Reading:
        """Return what the text encoder reads of a single word."""
        return self.reader.read_word(word)

    def encode_text(self, texts: Sequence[str]) -> Float[torch.Tensor, "text width"]:
        """Return one vector per text, not normalised; what is too long is cut, and said."""
        with torch.no_grad():
            return encode_texts(self.network, self.reader, texts)

    def encode_image(self, images: Sequence[Image]) -> Float[torch.Tensor, "image width"]:
        """Return one vector per image, not normalised: the class token, at the training's size."""
        vision = self.network.vision_model
        side = vision.config.image_size
        stretched = [
            torch.nn.functional.interpolate(
                one.data[None], (side, side), mode="bilinear", antialias=True
            )
            for one in images
        ]
        with torch.no_grad():
            pixels = torch.cat(stretched).to(self._device, self.dtype)
            vectors: torch.Tensor = vision(pixels).pooler_output.float()
        return vectors

    @property
    def patch(self) -> int:
        """Return the side of a patch, in pixels."""
        side: int = self.network.vision_model.config.patch_size
        return side

    @property
    def blocks(self) -> Any:
        """Return the blocks of the image encoder in order."""
        return self.network.vision_model.encoder.layer

    def normalise(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image's colours: from 0 to 1, as they are."""
        return image.data.clone()

    def embed(
        self, pixels: Float[torch.Tensor, "image 3 h w"]
    ) -> Float[torch.Tensor, "image token width"]:
        """Return the tokens that enter the first block."""
        tokens: torch.Tensor = self.network.vision_model.embeddings(pixels)
        return tokens

    def normalise_tokens(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token width"]:
        """Normalise tokens as the model does after its last block."""
        with torch.no_grad():
            normalised: torch.Tensor = self.network.vision_model.layernorm(tokens.to(self.dtype))
        return normalised

    def into_texts(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token out"]:
        """Return normalised tokens, which lie among the texts."""
        return tokens


READS = 64
"""How many tokens of a text the model reads."""
