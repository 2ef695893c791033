"""SimZSS: DINOv2's patches behind a denoiser, and texts that were trained to meet them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, open_clip, torch
from ovsskit.backbones._checkpoint import FOLDER_FILES
from ovsskit.backbones._colours import standardise
from ovsskit.backbones._tower import Tower
from ovsskit.backbones.clip import _text as text
from ovsskit.backbones.dino import _vision as vision
from ovsskit.backbones.simzss import _checkpoint as checkpoint
from ovsskit.backbones.simzss._networks import READS
from ovsskit.backbones.simzss._published import SIMZSS
from ovsskit.engine.model import DescribesPatchesAndText
from ovsskit.engine.readable import Reading
from ovsskit.engine.values import Image
from ovsskit.hub.weights import HubFiles, Published


class Simzss(Tower, DescribesPatchesAndText):
    """Describe patches by DINOv2 and a denoiser, and texts by SimZSS's text encoder.

    Weights are one of the authors' two checkpoints, ViT-B/14 with registers (633 MB, no licence
    stated), which come by hand. The denoiser is one more block; it sees the patches that leave
    DINOv2, with positions of its own, and neither class token nor registers. It is the one block
    that stages see. Images keep their size; pixels left over at the right and bottom, less than a
    patch, are not seen.
    Source: Stegmueller et al. 2025, SimZSS; code tileb1/simzss 2142ac5.
    """

    compiles: ClassVar[str] = r"(vision|denoiser)\.encoder\.layer\.\d+"
    hub_files: ClassVar[HubFiles] = HubFiles(FOLDER_FILES)
    published: ClassVar[Mapping[str, Published]] = SIMZSS

    weights: Annotated[
        str,
        Field(
            description="the authors' checkpoint, or what `ovsskit models --convert` makes of it"
        ),
    ]

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return SimZSS's name if tensors of such names are one of it, else an empty text."""
        return checkpoint.recognise(names)

    def load(self) -> Any:
        """Read the image encoder, the denoiser and the text encoder.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        return checkpoint.read_network(self.need_weights(), self.dtype)

    def check_weights(self) -> None:
        """Refuse weights that do not fit, by the names and shapes of their tensors.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        checkpoint.check(self.need_weights())

    def convert_weights(self, file: Path) -> None:
        """Write the checkpoint as safetensors, without what only its training looks at.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        checkpoint.convert(self.need_weights(), file)

    @cached_property
    def reader(self) -> text.TextReader:
        """Return what turns texts into tokens: CLIP's own tokenizer."""
        settings = {"text_cfg": {"context_length": READS}}
        return text.make_reader(None, settings, is_of_weights=False)

    def read_word(self, word: str) -> Reading:
        """Return what the text encoder reads of a single word."""
        return self.reader.read_word(word)

    def encode_text(self, texts: Sequence[str]) -> Float[torch.Tensor, "text width"]:
        """Return one vector per text, not normalised; what is too long is cut, and said."""
        encoder = self.network["text"]
        with torch.no_grad():
            return text.run_by_length(
                self.reader,
                texts,
                self._device,
                lambda ids, lengths: text.run_causal(encoder, ids, max(lengths)),
            )

    @property
    def patch(self) -> int:
        """Return the side of a patch, in pixels."""
        side: int = self.network["vision"].config.patch_size
        return side

    @property
    def blocks(self) -> Any:
        """Return the denoiser's block."""
        return self.network["denoiser"].encoder.layer

    def normalise(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image's colours less CLIP's mean, divided by its deviation."""
        means = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
        mean, deviation = ([255 * value for value in values] for values in means)
        return standardise(image.data, mean, deviation)

    def embed(
        self, pixels: Float[torch.Tensor, "image 3 h w"]
    ) -> Float[torch.Tensor, "image token width"]:
        """Return the patches that leave DINOv2, normalised, with the denoiser's positions added.

        Positions of both are resized bicubically with antialiasing, as timm does.
        """
        tokens, grid = vision.leave(self.network["vision"], pixels, "size_antialias")
        table = self.network["denoiser"].position_embeddings[0]
        places = vision.place_embeddings(table, grid, "size_antialias", others=0)
        entering: torch.Tensor = tokens[:, -len(places) :] + places
        return entering

    def normalise_tokens(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token width"]:
        """Return tokens: nothing normalises what leaves the denoiser."""
        return tokens

    def into_texts(
        self, tokens: Float[torch.Tensor, "token width"]
    ) -> Float[torch.Tensor, "token out"]:
        """Return tokens, which lie among the texts."""
        return tokens
