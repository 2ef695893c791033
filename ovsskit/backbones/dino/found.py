"""FOUND: a map of the foreground from the keys of DINO's last block, by 385 numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.backbones.dino import _checkpoint as checkpoint
from ovsskit.backbones.dino._decoder import DECODER, KNOWN, need_decoder, read_decoder
from ovsskit.backbones.dino.dino import Dino
from ovsskit.engine.model import FindsForeground
from ovsskit.engine.values import ForegroundMap, Hidden, Image
from ovsskit.hub.published_file import PUBLISHED, describe_file
from ovsskit.hub.weights import WeightsInfo


class Found(Dino, FindsForeground):
    """Find the foreground by DINO's keys, whatever the things are; trained without labels.

    Every patch gets a logit, one number for each number of its key and one to add; these are
    enlarged bilinearly to pixels, cut to the image's size, and become probabilities.
    Weights are those of `dino`, for the published decoder ViT-S/8; that decoder (2.7 kB,
    Apache-2.0) is fetched from its authors' repository at first use, compared with its SHA-256, and
    kept.
    Source: Simeoni et al. 2023, FOUND; code valeoai/FOUND 1ad22ba.
    """

    embedded: ClassVar[Path] = Path()

    decoder: Annotated[
        str,
        Field(
            description="`published`, or a file with `decoder.weight` and `decoder.bias` "
            "(safetensors, or of torch)"
        ),
    ] = PUBLISHED

    def read_files(self) -> dict[str, Path]:
        """Return the files of the model by name, its decoder among them.

        Raises:
            MissingWeights, BadWeights: one is not there and cannot be fetched.
        """
        decoder = need_decoder(self.decoder)
        return {**super().read_files(), f"decoder{decoder.suffix}": decoder}

    def describe_parts(self) -> list[WeightsInfo]:
        """Say what is known of the decoder."""
        return [describe_file(self.decoder, DECODER, KNOWN)]

    def check_weights(self) -> None:
        """Refuse weights that do not fit, and a decoder that is for others.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        read_decoder(need_decoder(self.decoder), checkpoint.check(self.need_weights()))

    def prepare(self) -> None:
        """Read the network and the decoder."""
        super().prepare()
        _ = self.numbers

    @cached_property
    def numbers(self) -> tuple[Any, Any]:
        """Return what each number of a key counts for, and what is added.

        Raises:
            MissingWeights, BadWeights: there is no decoder, or it is for other keys.
        """
        weight, bias = read_decoder(need_decoder(self.decoder), self.network.config.hidden_size)
        return weight.to(self._device), bias.to(self._device)

    def logits(self, hidden: Hidden) -> Float[torch.Tensor, "rows cols"]:
        """Return a logit of the foreground for every patch."""
        _, keys, _ = self.project(hidden, self.block_count)
        weight, bias = self.numbers
        patches = keys[:, 1:].transpose(0, 1).flatten(1).float()
        logits: torch.Tensor = (patches @ weight + bias).unflatten(0, hidden.grid)
        return logits

    def find_foreground(self, images: Sequence[Image]) -> list[ForegroundMap]:
        """Return a map for every image, at its size.

        Raises:
            BadValue: an image is smaller than a patch, and is not to be padded.
        """
        found = []
        for image, hidden in zip(images, self.hidden(images, [self.block_count]), strict=True):
            logits = self.logits(hidden)
            enlarged = torch.nn.functional.interpolate(
                logits[None, None], scale_factor=self.patch, mode="bilinear"
            )[0, 0]
            rows, columns = (
                min(side, length) for side, length in zip(image.size, enlarged.shape, strict=True)
            )
            cut = enlarged[:rows, :columns].sigmoid()
            missing = (0, image.size[1] - columns, 0, image.size[0] - rows)
            found.append(ForegroundMap(torch.nn.functional.pad(cut, missing)))
        return found
