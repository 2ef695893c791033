"""How sure single sentences are of each class, and which of them are the surest."""

from __future__ import annotations

from dataclasses import dataclass, field

from ovsskit._lazy import Float, Int, torch
from ovsskit.engine.values import Probabilities

ROWS = 64
"""How many rows of the maps are looked at together, so that there is no second copy of all maps."""


@dataclass(frozen=True)
class Expert:
    """Hold a sentence for a class: its index, the mean entropy in nats, and at how many places."""

    sentence: int
    entropy: float
    places: int


@dataclass
class Sureness:
    """Add up, for each sentence and label, how unsure predictions of the label are.

    A place belongs to the label of its most probable map. Source: Benigmim et al. 2025, FLOSS,
    equation of the class-wise entropy.
    """

    sentences: int
    labels: int
    sums: Float[torch.Tensor, "sentence label"] = field(init=False)
    counts: Int[torch.Tensor, "sentence label"] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with no place at all."""
        self.sums = torch.zeros(self.sentences, self.labels, dtype=torch.float64)
        self.counts = torch.zeros(self.sentences, self.labels, dtype=torch.int64)

    def add(self, sentence: int, found: Probabilities) -> None:
        """Add what a sentence alone finds in an image."""
        labels = torch.tensor(found.labels)
        for rows in found.data.split(ROWS, 1):
            unsure = torch.special.entr(rows).sum(0).flatten().cpu().double()
            predicted = labels[rows.argmax(0).flatten().cpu()]
            self.sums[sentence] += torch.bincount(predicted, unsure, self.labels)
            self.counts[sentence] += torch.bincount(predicted, minlength=self.labels)

    def experts(self, label: int, most: int) -> list[Expert]:
        """Return the surest sentences for a label, the surest first; of equals, the first.

        Sentences that never predict the label say nothing of it and are left out, so that there may
        be fewer than `most`, or none.
        """
        found = [
            Expert(index, float(total / count), int(count))
            for index, (total, count) in enumerate(
                zip(self.sums[:, label], self.counts[:, label], strict=True)
            )
            if count
        ]
        return sorted(found, key=lambda one: one.entropy)[:most]
