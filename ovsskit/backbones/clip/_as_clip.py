"""What a backbone does as `clip` does it, with the same weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.backbones._colours import Colour
from ovsskit.backbones.clip._weights import HUB_FILES
from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.model import EncodesImageAndText, PretrainedBackbone
from ovsskit.engine.readable import Reading
from ovsskit.engine.values import Image
from ovsskit.hub.weights import HubFiles


class AsClip(PretrainedBackbone, EncodesImageAndText):
    """Read weights and words, and encode whole images and texts, as `clip` does."""

    hub_files: ClassVar[HubFiles] = HUB_FILES

    model: Annotated[
        str, Field(description="architecture as open_clip names it, such as ViT-B-16: see `clip`")
    ] = ""
    mean: Annotated[
        Colour, Field(description="red, green and blue to subtract, to 255; the model's if empty")
    ] = ()
    deviation: Annotated[
        Colour, Field(description="red, green and blue to divide by, to 255; the model's if empty")
    ] = ()

    @cached_property
    def clip(self) -> Clip:
        """Return the same model as `clip` has it, with this one's network."""
        fields = type(self).model_fields.keys() & Clip.model_fields.keys()
        given = {name: getattr(self, name) for name in fields}
        return Clip(**given).to(self._device)

    @property
    def source(self) -> str:
        """Return where the weights come from: a hub id, a local path, or `embedded`."""
        return self.clip.source

    @property
    def network(self) -> Any:
        """Return the network, for evaluation and without gradients."""
        return self.clip.network

    def load(self) -> Any:
        """Read the network from its weights.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        return self.clip.load()

    def check_weights(self) -> None:
        """Refuse weights that do not fit, by the names and shapes of their tensors.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        self.clip.check_weights()

    def read_files(self) -> dict[str, Path]:
        """Return the model's files by name."""
        return self.clip.read_files()

    def read_word(self, word: str) -> Reading:
        """Return what the text encoder reads of a single word."""
        return self.clip.read_word(word)

    def encode_text(self, texts: Sequence[str]) -> Float[torch.Tensor, "text width"]:
        """Return one vector per text, not normalised; what is too long is cut, and said."""
        return self.clip.encode_text(texts)

    def encode_image(self, images: Sequence[Image]) -> Float[torch.Tensor, "image width"]:
        """Return one vector per image, not normalised; images are resized as in the training."""
        return self.clip.encode_image(images)
