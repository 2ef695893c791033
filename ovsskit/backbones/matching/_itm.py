"""What matching models share: from images and captions to attention and matches."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar

from ovsskit._lazy import Float, torch
from ovsskit.backbones.matching._itm_attention import without_padding
from ovsskit.backbones.matching._itm_images import ItmImages
from ovsskit.backbones.matching._itm_network import listed
from ovsskit.backbones.matching._text import TextReader, Tokens
from ovsskit.engine.model import CrossAttends, MatchesText, Objective
from ovsskit.engine.sending import pick, send_places
from ovsskit.engine.values import Caption, Captions, CrossAttention, Image
from ovsskit.errors import BadValue

HALF_SCALE = 256.0
"""Factor of the objective in fp16, divided out later, so that gradients do not underflow."""


class ItmBackbone(ItmImages, CrossAttends, MatchesText):
    """Attend and match with an image encoder, text layers that look at it, and a matching head."""

    compiles: ClassVar[str] = (
        r"vision_model\.encoder\.layers\.\d+\.mlp|.*\.visual\.transformer\.resblocks\.\d+"
    )

    pairs_at_once: ClassVar[int] = 256
    """How many pairs of an image and a caption run in one pass; at least one for every image."""

    @property
    def reads_first_token(self) -> bool:
        """Return that the matching head reads the first token alone, as in all these models."""
        return True

    @cached_property
    @abstractmethod
    def reader(self) -> TextReader:
        """Return what encodes captions."""

    @abstractmethod
    def fuse_text(
        self,
        features: Float[torch.Tensor, "image ..."],
        rows: Sequence[Sequence[Tokens]],
        wanted: Sequence[int],
    ) -> tuple[Float[torch.Tensor, "image caption 2"], list[Float[torch.Tensor, "_ head _ key"]]]:
        """Return the matching head's output, and the wanted cross-attention, tied to it by a graph.

        The first axis of the attention is that of the images or of all captions of all images, as
        `by_image` takes it.
        """

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a caption takes, special tokens included."""
        return self.reader.count(text)

    @property
    def token_limit(self) -> int:
        """Return how many tokens one caption may take."""
        return self.reader.limit

    def cross_attention(
        self,
        images: Sequence[Image],
        captions: Sequence[Captions],
        *,
        layers: Sequence[int] | None,
        objective: Objective,
        pad_to: int,
    ) -> list[CrossAttention]:
        """Run the network once over all images; layers count from 1, `None` means all of them.

        The image encoder and the text layers below the lowest wanted one keep no graph.

        Raises:
            BadValue: the network has no such layer.
        """
        reader, count = self.reader, self.layer_count
        wanted = tuple(sorted(set(range(1, count + 1) if layers is None else layers)))
        if not wanted or wanted[0] < 1 or wanted[-1] > count:
            raise BadValue(f"Layers {listed(wanted)} are asked for; the model has 1 to {count}.")
        rows = [
            [reader.read(caption).padded(pad_to, reader.padding) for caption in mine.captions]
            for mine in captions
        ]
        features = self.encode(images)
        parts: list[list[Any]] = [[] for _ in rows]
        for some, group in self._groups(rows):
            attended = self._attend(pick(features, some), group, wanted, objective)
            for index, part in zip(some, attended, strict=True):
                parts[index].append(part)
        found = []
        for row, mine in zip(rows, parts, strict=True):
            probability, gradient = (torch.cat(tensors, 2) for tensors in zip(*mine, strict=True))
            marks = [mark for tokens in row for mark in tokens.positions]
            found.append(
                CrossAttention(
                    probability,
                    gradient,
                    positions=send_places(marks, self._device),
                    layers=wanted,
                    heads=tuple(range(probability.shape[1])),
                    grid=self.grid,
                    lengths=tuple(len(tokens.ids) for tokens in row),
                )
            )
        return found

    def match(
        self, images: Sequence[Image], captions: Sequence[Sequence[Caption]]
    ) -> list[Float[torch.Tensor, " caption"]]:
        """Return the probability from 0 to 1 that an image fits each of its captions."""
        return [logits.softmax(-1)[:, 1] for logits in self.logits(images, captions)]

    def logits(
        self, images: Sequence[Image], captions: Sequence[Sequence[Caption]]
    ) -> list[Float[torch.Tensor, "caption 2"]]:
        """Return what the head gives for each of an image's captions: no match, match."""
        rows = [[self.reader.read(caption) for caption in mine] for mine in captions]
        found: list[Any] = [[] for _ in rows]
        with torch.no_grad():
            features = self.encode(images)
            for some, group in self._groups(rows):
                logits = self.fuse_text(pick(features, some), group, ())[0].float()
                for index, row, one in zip(some, group, logits, strict=True):
                    found[index].append(one[: len(row)])
        return [torch.cat(parts) for parts in found]

    def _groups(
        self, rows: Sequence[Sequence[Tokens]]
    ) -> Iterator[tuple[list[int], list[Sequence[Tokens]]]]:
        """Split the captions of images into passes; yield of each the images and their captions."""
        size = max(1, self.pairs_at_once // len(rows))
        for start in range(0, max(map(len, rows)), size):
            some = [index for index, row in enumerate(rows) if row[start : start + size]]
            yield some, [rows[index][start : start + size] for index in some]

    def _attend(
        self,
        features: Any,
        rows: Sequence[Sequence[Tokens]],
        wanted: Sequence[int],
        objective: Objective,
    ) -> Iterator[
        tuple[
            Float[torch.Tensor, "layer head token key"], Float[torch.Tensor, "layer head token key"]
        ]
    ]:
        """Yield, for every image, probabilities and gradients of its tokens, without padding."""
        with torch.inference_mode(False), torch.enable_grad():
            logits, attention = self.fuse_text(features, rows, wanted)
            scale = HALF_SCALE if self.number_format == "fp16" else 1.0
            if objective == "match_loss":
                logits = logits.log_softmax(-1)
            gradients = torch.autograd.grad(logits[..., 1].sum() * scale, attention)
        parts = (without_padding(tensors, rows) for tensors in (attention, gradients))
        for probability, gradient in zip(*parts, strict=True):
            yield probability, gradient / scale
