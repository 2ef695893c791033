"""CLIP with prompts that were learned for a domain, in its image and its text encoder."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.backbones.clip import _prompts as prompting
from ovsskit.backbones.clip._as_clip import AsClip
from ovsskit.backbones.clip._prompts import Prompts, need_prompts, read_prompts, see_plain
from ovsskit.backbones.clip._published import CLIP
from ovsskit.backbones.clip._text import TextReader
from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.sending import send
from ovsskit.engine.values import Image
from ovsskit.hub.weights import Published

TEXTS_AT_ONCE = 256


class ClipPrompted(AsClip):
    """Encode whole images and texts by a CLIP of open_clip with learned prompts.

    Prompts are tokens that stand behind the first token of an image or a text from one block on;
    those of a later block take the place of the earlier ones. They come as a safetensors file with
    a tensor `visual.N` or `text.N` for every such block N, counted from 1. Weights are those of
    `clip`. Patches are not given out: prompts are learned for whole images, or crops of regions.
    Source: Yilmaz et al. 2024, OpenDAS, whose prompts are not public; Jia et al. 2022, VPT (image
    encoder); Zhou et al. 2022, CoOp (texts); Khattak et al. 2023, MaPLe (both, in several blocks).
    """

    embedded: ClassVar[Path] = Clip.embedded
    waits: ClassVar[str] = "open_clip prepares whole images on the processor"
    published: ClassVar[Mapping[str, Published]] = CLIP

    prompts: Annotated[
        str, Field(description="a safetensors file of prompts; if empty there are none")
    ] = ""

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return nothing: the weights are those of `clip`, which recognises them."""
        return ""

    def read_files(self) -> dict[str, Path]:
        """Return the model's files by name, its prompts among them.

        Raises:
            MissingWeights: one is not there.
        """
        files = super().read_files()
        if self.prompts:
            files["prompts.safetensors"] = need_prompts(self.prompts)
        return files

    def check_weights(self) -> None:
        """Refuse weights, and prompts, that do not fit.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        super().check_weights()
        _ = self.learned

    def prepare(self) -> None:
        """Read the network and the prompts."""
        super().prepare()
        _ = self.learned

    @cached_property
    def learned(self) -> Prompts:
        """Return the prompts of both encoders.

        Raises:
            MissingWeights, BadWeights: there are none, or they are for another model, or it is no
                plain CLIP.
        """
        see_plain(self.network)
        if not self.prompts:
            return Prompts({}, {})
        found = read_prompts(need_prompts(self.prompts), self.network)
        return Prompts(
            *({block: send(one, self._device) for block, one in part.items()} for part in found)
        )

    @cached_property
    def reader(self) -> TextReader:
        """Return what turns texts into tokens; prompts take the room of some."""
        plain = self.clip.reader
        return TextReader(
            plain.encode, plain.limit - self.learned.most_in_text, plain.decode, plain.padding
        )

    def encode_text(self, texts: Sequence[str]) -> Float[torch.Tensor, "text width"]:
        """Return one vector per text, not normalised; what is too long is cut, and said."""
        rows = self.reader.read_all(texts)
        ids = torch.full((len(rows), max(map(len, rows))), self.reader.padding)
        for padded, row in zip(ids, rows, strict=True):
            padded[: len(row)] = torch.tensor(row)
        with torch.no_grad():
            parts = [
                prompting.encode_text(self.network, some, self.learned.text).float()
                for some in send(ids, self._device).split(TEXTS_AT_ONCE)
            ]
        return torch.cat(parts)

    def encode_image(self, images: Sequence[Image]) -> Float[torch.Tensor, "image width"]:
        """Return one vector per image, not normalised; images are resized as in the training."""
        with torch.no_grad():
            pixels = self.clip.prepare_whole(images)
            found = prompting.encode_image(self.network.visual, pixels, self.learned.visual)
        return found.float()
