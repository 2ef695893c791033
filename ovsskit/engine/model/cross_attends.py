"""The capability to say what text tokens look at, its laws, and a toy that has it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

from ovsskit._lazy import torch
from ovsskit.engine.examples import GRID, HEADS, LAYERS, brightness
from ovsskit.engine.stage import Capability
from ovsskit.engine.values import END, PROMPT, Caption, Captions, CrossAttention, Image

Objective = Literal["match_logit", "match_loss"]


class CrossAttends(Capability):
    """Give the attention of text tokens to image patches, and its gradient in a match."""

    @abstractmethod
    def count_tokens(self, text: str) -> int:
        """Return how many tokens a caption takes, special tokens included."""

    @property
    @abstractmethod
    def token_limit(self) -> int:
        """Return how many tokens one caption may take."""

    @property
    @abstractmethod
    def layer_count(self) -> int:
        """Return the number of layers with cross-attention."""

    def known_layer_count(self) -> int | None:
        """Return the number of layers with cross-attention if weights need not be read for it."""
        return None

    @property
    def reads_first_token(self) -> bool:
        """Return whether the head reads the first token alone: the last layer gets no gradient."""
        return False

    def layers_with_gradient(self) -> tuple[int, ...] | None:
        """Return the layers from which classes get a gradient, or None where weights must tell."""
        count = self.known_layer_count()
        return None if count is None else tuple(range(1, count + (not self.reads_first_token)))

    @property
    @abstractmethod
    def grid(self) -> tuple[int, int]:
        """Return rows and columns of the patches that an image is cut into."""

    @abstractmethod
    def cross_attention(
        self,
        images: Sequence[Image],
        captions: Sequence[Captions],
        *,
        layers: Sequence[int] | None,
        objective: Objective,
        pad_to: int,
    ) -> list[CrossAttention]:
        """Run the network once over all images; layers count from 1, `None` means all of them."""

    @classmethod
    def check(cls, model: Any) -> None:
        """Test grid, layers and tokens; nothing has a graph, and images are independent."""
        images, captions = [Image.example(seed) for seed in (0, 7)], Captions.example()
        both = model.cross_attention(
            images, [captions] * 2, layers=None, objective="match_logit", pad_to=0
        )
        rows, columns = model.grid
        for attention in both:
            CrossAttention.check(attention)
            assert attention.grid == (rows, columns)
            assert attention.layers == tuple(range(1, model.layer_count + 1))
            assert attention.probability.shape[-1] >= rows * columns
            named = set(attention.positions.tolist())
            assert {0, 1, 2} <= named, "a class of the caption has no token"
            assert not attention.probability.requires_grad
            assert not attention.gradient.requires_grad
        [alone] = model.cross_attention(
            images[:1], [captions], layers=None, objective="match_logit", pad_to=0
        )
        torch.testing.assert_close(alone.probability, both[0].probability, atol=1e-5, rtol=1e-4)
        assert model.count_tokens(captions.captions[0].text) == len(alone.positions)

    @classmethod
    def toy(cls) -> Any:
        """Return a model that attends by brightness."""
        return ToyCrossAttends()


class ToyCrossAttends(CrossAttends):
    """Let tokens look at bright patches."""

    def count_tokens(self, text: str) -> int:
        """Count words and the two special tokens."""
        return len(text.split()) + 2

    @property
    def token_limit(self) -> int:
        """Return a limit that an example caption does not reach."""
        return 12

    @property
    def layer_count(self) -> int:
        """Return the number of layers of the examples."""
        return LAYERS

    @property
    def grid(self) -> tuple[int, int]:
        """Return the grid of the examples."""
        return GRID

    def cross_attention(
        self,
        images: Sequence[Image],
        captions: Sequence[Captions],
        *,
        layers: Sequence[int] | None,
        objective: Objective,
        pad_to: int,
    ) -> list[CrossAttention]:
        """Let every token look at bright patches, each token and head in its own way."""
        return [
            self._attend(image, caption, tuple(layers or range(1, LAYERS + 1)))
            for image, caption in zip(images, captions, strict=True)
        ]

    def _attend(self, image: Image, captions: Captions, layers: tuple[int, ...]) -> CrossAttention:
        bright = brightness(image.data)
        bright = bright if image.hidden is None else bright.masked_fill(image.hidden, 0)
        positions = [mark for caption in captions.captions for mark in self._positions(caption)]
        token = torch.arange(1, len(positions) + 1, device=bright.device)[None, None, :, None]
        slope = (
            token
            * torch.tensor(layers, device=bright.device)[:, None, None, None]
            * torch.arange(1, HEADS + 1, device=bright.device)[None, :, None, None]
        )
        look = (bright.flatten()[None, None, None] * slope.float() * 7).sin()
        padded = torch.nn.functional.pad(look, (1, 0))
        lengths = tuple(len(self._positions(caption)) for caption in captions.captions)
        return CrossAttention(
            padded.softmax(-1),
            padded.cos(),
            torch.tensor(positions, device=bright.device),
            layers,
            tuple(range(HEADS)),
            GRID,
            lengths,
        )

    def _positions(self, caption: Caption) -> list[int]:
        marks, at = [PROMPT], 0
        for word in caption.text.split():
            start = caption.text.index(word, at)
            at = start + len(word)
            inside = [span.position for span in caption.spans if span.start <= start < span.end]
            marks.append(inside[0] if inside else PROMPT)
        return [*marks, END]
