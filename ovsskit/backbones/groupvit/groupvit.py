"""GroupViT through transformers: groups of patches, and texts."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from ovsskit._lazy import Float, torch
from ovsskit.backbones._checkpoint import FOLDER_FILES
from ovsskit.backbones._inferred import config_beside
from ovsskit.backbones._patches import hide_patches, see_patch
from ovsskit.backbones._sizes import run_by_size
from ovsskit.backbones.clip._text import TextReader, make_reader
from ovsskit.backbones.dino._vision import normalise
from ovsskit.backbones.groupvit import _checkpoint as checkpoint
from ovsskit.backbones.groupvit._published import GROUPVIT
from ovsskit.engine.model import EncodesText, GroupsPatches, PretrainedBackbone
from ovsskit.engine.readable import Reading
from ovsskit.engine.sending import send
from ovsskit.engine.values import Groups, Image
from ovsskit.hub.weights import HubFiles, Published

TEXTS_AT_ONCE = 256
LARGEST_SCALE = 100.0
"""What cosines are multiplied by at most, as in the authors' code."""


class Groupvit(PretrainedBackbone, EncodesText, GroupsPatches):
    """Group the patches of images of any size with GroupViT, and encode texts.

    Weights are a hub id, a folder in Hugging Face format, or a checkpoint of the authors. **They
    are for research and evaluation only: GroupViT's code is under a non-commercial licence, and the
    weights state none of their own.** Pixels beyond whole patches are not seen.
    Source: Xu et al. 2022, GroupViT; transformers' model, whose parts are called one by one, since
    its own forward takes images of one size.
    """

    hub_files: ClassVar[HubFiles] = HubFiles(FOLDER_FILES, beside=("config.json",))
    published: ClassVar[Mapping[str, Published]] = GROUPVIT

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return GroupViT's name if tensors of such names are one of it, else an empty text."""
        return checkpoint.recognise(names)

    def load(self) -> Any:
        """Read the network from its weights.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        return checkpoint.read_network(self.need_weights())

    def check_weights(self) -> None:
        """Refuse weights that do not fit, by the names and shapes of their tensors.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        checkpoint.check(self.need_weights())

    def convert_weights(self, file: Path) -> None:
        """Write the checkpoint as safetensors, and a copy of its configuration, if any.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        path = self.need_weights()
        config = config_beside(path)
        checkpoint.convert(path, file, [config] if config.is_file() else [])

    @cached_property
    def reader(self) -> TextReader:
        """Return what turns texts into tokens: CLIP's own."""
        return make_reader(None, {"text_cfg": {}}, is_of_weights=False)

    def read_word(self, word: str) -> Reading:
        """Return what the text encoder reads of a single word."""
        return self.reader.read_word(word)

    def encode_text(self, texts: Sequence[str]) -> Float[torch.Tensor, "text width"]:
        """Return one vector per text, not normalised; what is too long is cut, and said."""
        rows, network = self.reader.read_all(texts), self.network
        ids = torch.zeros(len(rows), self.reader.limit, dtype=torch.int64)
        for padded, row in zip(ids, rows, strict=True):
            padded[: len(row)] = torch.tensor(row)
        with torch.no_grad():
            parts = [
                network.text_projection(network.text_model(input_ids=some).pooler_output).float()
                for some in send(ids, self._device).split(TEXTS_AT_ONCE)
            ]
        return torch.cat(parts)

    @property
    def patch(self) -> int:
        """Return the side of a patch, in pixels."""
        side: int = self.network.config.vision_config.patch_size
        return side

    def pixels(self, image: Image) -> Float[torch.Tensor, "3 h w"]:
        """Return an image as the network sees it: normalised, own size, hidden patches at 0."""
        data = normalise(image.data)
        hide_patches(data, image, self.patch)
        return data

    def group_patches(self, images: Sequence[Image]) -> list[Groups]:
        """Return the groups of every image.

        Raises:
            BadValue: an image is smaller than a patch.
        """
        for image in images:
            see_patch(image, self.patch)
        return run_by_size(images, self._group)

    def _group(self, images: Sequence[Image]) -> list[Groups]:
        """Run images of one size together."""
        network = self.network
        vision = network.vision_model
        with torch.no_grad():
            pixels = torch.stack([self.pixels(image) for image in images])
            pixels = pixels.to(self._device, self.dtype)
            patches = vision.embeddings(pixels, interpolate_pos_encoding=True)
            left = vision.encoder(patches, output_attentions=True, return_dict=True)
            tokens = vision.layernorm(left.last_hidden_state)
            assignment = left.attentions[0]
            for soft in left.attentions[1:]:
                assignment = soft @ assignment
            vectors = network.visual_projection(tokens.flatten(0, 1)).unflatten(0, tokens.shape[:2])
            wholes = network.visual_projection(tokens.mean(1))
        grid = tuple(side // self.patch for side in images[0].size)
        scale = min(math.exp(float(network.logit_scale)), LARGEST_SCALE)
        return [
            Groups(one.float().unflatten(1, grid), vector.float(), whole.float(), scale)
            for one, vector, whole in zip(assignment, vectors, wholes, strict=True)
        ]
