"""The values of maps of classes, and their kinds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import NAMES, SIZE, uniform
from ovsskit.engine.sending import pick
from ovsskit.engine.values.spatial import Spatial, Window
from ovsskit.engine.values.vocabulary import NEGATIVE


@dataclass(frozen=True, eq=False)
class Scores(Spatial):
    """Hold maps; `labels` says which label each is for, and may hold one twice.

    It is 0 for the background, and `NEGATIVE` for words that only compete.
    """

    data: Float[torch.Tensor, "class h w"]
    labels: tuple[int, ...]

    @classmethod
    def example(cls: type[S], seed: int = 0) -> S:
        """Return random maps from 0 to 1, one for each class."""
        return cls(uniform(seed, len(NAMES), *SIZE), tuple(range(1, len(NAMES) + 1)))

    @classmethod
    def check(cls, value: Any) -> None:
        """Test that there is a label for every map, and that all scores are finite."""
        super().check(value)
        assert len(value.labels) == value.data.shape[0], "not every map has one label"
        assert value.data.isfinite().all(), "its scores are not finite"

    def with_data(self: S, data: Float[torch.Tensor, "class h w"]) -> S:
        """Return scores of the same kind and classes with other maps."""
        return replace(self, data=data)

    def crop(self: S, window: Window) -> S:
        """Return the part of the maps that a window shows; margins are 0.

        Raises:
            BadValue: an edge of the window lies inside one of the maps' places.
        """
        return self if window.is_whole else self.with_data(window.cut(self.data))

    def without_negatives(self: S) -> S:
        """Return the maps of what may be an answer."""
        kept = [row for row, label in enumerate(self.labels) if label != NEGATIVE]
        if len(kept) == len(self.labels):
            return self
        labels = tuple(self.labels[row] for row in kept)
        return replace(self, data=pick(self.data, kept), labels=labels)


@dataclass(frozen=True, eq=False)
class Saliency(Scores):
    """Hold maps that say how much a place speaks for a class, 0 or more, without a common scale."""


@dataclass(frozen=True, eq=False)
class Logits(Scores):
    """Hold maps that become probabilities by a softmax over classes."""

    @classmethod
    def example(cls: type[S], seed: int = 0) -> S:
        """Return random maps from -4 to 4, one for each class."""
        scores = super().example(seed)
        return scores.with_data(scores.data * 8 - 4)


@dataclass(frozen=True, eq=False)
class Confidences(Scores):
    """Hold maps from 0 to 1 on one scale for all classes."""


@dataclass(frozen=True, eq=False)
class Probabilities(Confidences):
    """Hold confidences that sum to 1 over the maps at every place."""

    @classmethod
    def example(cls: type[S], seed: int = 0) -> S:
        """Return random maps, one for each class, that sum to 1."""
        scores = super().example(seed)
        return scores.with_data((scores.data * 4).softmax(0))


S = TypeVar("S", bound=Scores)
