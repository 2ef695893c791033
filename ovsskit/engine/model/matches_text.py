"""The capability to say how well an image fits a sentence, its laws, and a toy that has it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from ovsskit._lazy import Float, torch
from ovsskit.engine.stage import Capability
from ovsskit.engine.values import Caption, Captions, Image


class MatchesText(Capability):
    """Score how well an image fits a sentence."""

    @abstractmethod
    def match(
        self, images: Sequence[Image], captions: Sequence[Sequence[Caption]]
    ) -> list[Float[torch.Tensor, " caption"]]:
        """Return the probability from 0 to 1 that an image fits each of its captions."""

    @classmethod
    def check(cls, model: Any) -> None:
        """Test that every caption of every image gets a probability."""
        images, captions = [Image.example(seed) for seed in (0, 7)], Captions.example().captions
        found = model.match(images, [captions] * 2)
        assert len(found) == 2, "it does not answer for every image"
        for scores in found:
            assert scores.shape == (1,)
            assert 0 <= float(scores[0]) <= 1

    @classmethod
    def toy(cls) -> Any:
        """Return a model that matches by brightness."""
        return ToyMatchesText()


class ToyMatchesText(MatchesText):
    """Match by brightness and letters."""

    def match(
        self, images: Sequence[Image], captions: Sequence[Sequence[Caption]]
    ) -> list[Float[torch.Tensor, " caption"]]:
        """Score a caption by the brightness of the image and the letters of the caption."""
        pairs = zip(images, captions, strict=True)
        return [
            i.data.new_tensor([(float(i.data.mean()) * len(c.text)) % 1 for c in mine])
            for i, mine in pairs
        ]
