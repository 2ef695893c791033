"""The value of how channels speak for texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ovsskit._lazy import Float, torch
from ovsskit.engine.examples import GRID, NAMES, WIDTH, uniform
from ovsskit.engine.sending import pick
from ovsskit.engine.values.spatial import Spatial
from ovsskit.engine.values.vocabulary import NEGATIVE


@dataclass(frozen=True, eq=False)
class Explanation(Spatial):
    """Hold how the channels inside an image encoder speak for texts.

    `activations` are the channels over the patches; `logits` say how like the image is to each
    text; `gradients` are the derivatives of these in the channels, in the mean over the patches.
    Both are linear in what follows from the logits, so that the gradient of any function of them is
    a product with `gradients`. `labels` says which label each text is for.
    """

    activations: Float[torch.Tensor, "width rows cols"]
    logits: Float[torch.Tensor, " text"]
    gradients: Float[torch.Tensor, "text width"]
    labels: tuple[int, ...]

    @classmethod
    def example(cls, seed: int = 0) -> Explanation:
        """Return random numbers for three classes and a negative."""
        labels = (*range(1, len(NAMES) + 1), NEGATIVE)
        return cls(
            uniform(seed, WIDTH, *GRID) - 0.5,
            uniform(seed + 1, len(labels)) * 4,
            uniform(seed + 2, len(labels), WIDTH) - 0.5,
            labels,
        )

    def pick(self, texts: Sequence[int]) -> Explanation:
        """Return what is said of these texts, by their rows."""
        rows = list(texts)
        return replace(
            self,
            logits=pick(self.logits, rows),
            gradients=pick(self.gradients, rows),
            labels=tuple(self.labels[row] for row in rows),
        )
