"""dino.txt: a head on DINOv2's tokens, and a text encoder that was trained to meet them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import FOLDER_FILES
from ovsskit.backbones._tower import Tower
from ovsskit.backbones.clip import _text as text
from ovsskit.backbones.dino import _checkpoint as checkpoint
from ovsskit.backbones.dino import _vision as vision
from ovsskit.backbones.dino._parts import describe_hand_fetched, need_part
from ovsskit.backbones.dino._published import DINO_TXT, HEAD, TEXTS
from ovsskit.backbones.dino._text_encoder import READS, read_text_encoder
from ovsskit.backbones.dino._vision_head import read_vision_head
from ovsskit.engine.model import DescribesPatchesAndText
from ovsskit.engine.readable import Reading
from ovsskit.engine.values import Image
from ovsskit.hub.weights import HubFiles, Published, WeightsInfo


class DinoTxt(Tower, DescribesPatchesAndText):
    """Describe patches by DINOv2 and dino.txt's head, and texts by its text encoder.

    Weights are those of `dino`, for the published parts ViT-L/14 with registers; the parts are
    files of the authors. The blocks that stages see are those of the head: what enters the first is
    what leaves the frozen DINOv2. Images were trained as their class token beside the mean of their
    patches, so that the second half of a text's vector is the one that patches are compared with;
    the first is not given out. Tokens before the patches are the class token and the registers.
    Images keep their size; pixels left over at the right and bottom, less than a patch, are not
    seen.
    Source: Jose et al. 2025, DINOv2 Meets Text; code facebookresearch/dinov2 b8931f7.
    """

    compiles: ClassVar[str] = r"(vision|head)\.encoder\.layer\.\d+"
    hub_files: ClassVar[HubFiles] = HubFiles(FOLDER_FILES, beside=("config.json",))
    published: ClassVar[Mapping[str, Published]] = DINO_TXT

    vision_head: Annotated[str, Field(description="the authors' file of the head's blocks")] = HEAD
    text_encoder: Annotated[str, Field(description="the authors' file of the text encoder")] = TEXTS

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return nothing: the weights are those of `dino`, which recognises them."""
        return ""

    def load(self) -> Any:
        """Read DINOv2, the head and the text encoder.

        Raises:
            MissingWeights, BadWeights: one is not there, or does not fit the others.
        """
        network = checkpoint.read_network(self.need_weights(), self.dtype, 1e-6, with_norm=True)
        width, heads = network.config.hidden_size, network.config.num_attention_heads
        return torch.nn.ModuleDict(
            {
                "vision": network,
                "head": read_vision_head(self.vision_head, width, heads, self.dtype),
                "text": read_text_encoder(self.text_encoder, width, self.dtype),
            }
        )

    def read_files(self) -> dict[str, Path]:
        """Return the files of the model by name, its parts among them.

        Raises:
            MissingWeights, BadWeights: one is not there.
        """
        files = {name: need_part(named, name) for name, named in self.parts.items()}
        return {
            **super().read_files(),
            **{f"{name}{file.suffix}": file for name, file in files.items()},
        }

    @property
    def parts(self) -> dict[str, str]:
        """Return the files beside the weights by their fields."""
        return {"vision_head": self.vision_head, "text_encoder": self.text_encoder}

    def describe_parts(self) -> list[WeightsInfo]:
        """Say what is known of the head and the text encoder."""
        return [describe_hand_fetched(named) for named in self.parts.values()]

    def check_weights(self) -> None:
        """Refuse weights and parts that do not fit, by the names and shapes of their tensors.

        Raises:
            MissingWeights, BadWeights: one is not there, or does not fit the others.
        """
        width = checkpoint.check(self.need_weights())
        read_vision_head(self.vision_head, width, 1, shapes_only=True)
        read_text_encoder(self.text_encoder, width, shapes_only=True)

    @cached_property
    def reader(self) -> text.TextReader:
        """Return what turns texts into tokens: CLIP's own tokenizer."""
        return text.make_reader(None, {"text_cfg": {"context_length": READS}}, is_of_weights=False)

    def read_word(self, word: str) -> Reading:
        """Return what the text encoder reads of a single word."""
        return self.reader.read_word(word)

    def encode_text(self, texts: Sequence[str]) -> Float[torch.Tensor, "text width"]:
        """Return the half of each text's vector that patches meet, not normalised.

        What is too long is cut, and said.
        """
        encoder, width = self.network["text"], self.network["vision"].config.hidden_size
        with torch.no_grad():
            return text.run_by_length(
                self.reader,
                texts,
                self._device,
                lambda ids, lengths: encoder(ids[:, : max(lengths)]).text_embeds[:, width:].float(),
            )

    @property
    def patch(self) -> int:
        """Return the side of a patch, in pixels."""
        side: int = self.network["vision"].config.patch_size
        return side

    @property
    def blocks(self) -> Any:
        """Return the head's blocks in order."""
        return self.network["head"].encoder.layer

    def normalise(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image's colours less ImageNet's mean, divided by its deviation."""
        return vision.normalise(image.data)

    def embed(
        self, pixels: Float[torch.Tensor, "image 3 h w"]
    ) -> Float[torch.Tensor, "image token width"]:
        """Return what leaves DINOv2, normalised; positions as DINO's authors resize them."""
        return vision.leave(self.network["vision"], pixels, "original")[0]

    def normalise_tokens(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token width"]:
        """Normalise tokens as the model does after the head's last block."""
        with torch.no_grad():
            normalised: torch.Tensor = self.network["head"].layernorm(tokens.to(self.dtype))
        return normalised

    def into_texts(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token out"]:
        """Return normalised tokens, which lie among the texts' second halves."""
        return tokens
