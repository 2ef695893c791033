"""Add up over images which classes and words win, and what other words change."""

from __future__ import annotations

from dataclasses import dataclass, field

from ovsskit._lazy import Int, torch
from ovsskit.words.looking import NONE, Seen
from ovsskit.words.runs import SeenImage
from ovsskit.words.variants import Variants


@dataclass
class Wins:
    """Count by label the pixels and the images that it wins, and who comes second there.

    `rivals` has a row for each label, and a column for each label that comes second in its pixels.
    It stays empty where there are no scores to tell by.
    """

    labels: int
    pixels: Int[torch.Tensor, " label"] = field(init=False)
    images: Int[torch.Tensor, " label"] = field(init=False)
    rivals: Int[torch.Tensor, "label label"] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with no image."""
        self.pixels, self.images = _zeros(self.labels), _zeros(self.labels)
        self.rivals = _zeros(self.labels, self.labels)

    def add(self, seen: Seen) -> None:
        """Add an image."""
        counts = _count(seen.labels, self.labels)
        self.pixels += counts
        self.images += counts > 0
        if seen.rivals is not None:
            told = seen.rivals != NONE
            self.rivals += _cross(seen.labels[told], seen.rivals[told], self.labels, self.labels)


@dataclass
class Changes:
    """Count by label the pixels that have it with the words as they are, with others, with both."""

    labels: int
    before: Int[torch.Tensor, " label"] = field(init=False)
    after: Int[torch.Tensor, " label"] = field(init=False)
    both: Int[torch.Tensor, " label"] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with no image."""
        self.before, self.after = _zeros(self.labels), _zeros(self.labels)
        self.both = _zeros(self.labels)

    def add(self, plain: Seen, other: Seen) -> None:
        """Add an image; labels beyond the classes, those of distractors, count as a change."""
        known = other.labels < self.labels
        self.before += _count(plain.labels, self.labels)
        self.after += _count(other.labels[known], self.labels)
        self.both += _count(plain.labels[plain.labels == other.labels], self.labels)

    @property
    def overall(self) -> float:
        """Return the share of all pixels whose label changes."""
        return 1 - int(self.both.sum()) / int(self.before.sum())

    def of(self, label: int) -> float | None:
        """Return of the pixels that have a label with either words the share that has it with one.

        None where no pixel has it.
        """
        both = int(self.both[label])
        either = int(self.before[label]) + int(self.after[label]) - both
        return 1 - both / either if either else None


@dataclass
class WordWins:
    """Count the pixels that each word wins, by the label that they have with the words as they are.

    `is_told` says whether any run had scores of single words.
    """

    words: int
    labels: int
    before: Int[torch.Tensor, "word label"] = field(init=False)
    images: Int[torch.Tensor, " word"] = field(init=False)
    is_told: bool = False

    def __post_init__(self) -> None:
        """Begin with no image."""
        self.before = _zeros(self.words, self.labels)
        self.images = _zeros(self.words)

    def add(self, plain: Seen, words: Int[torch.Tensor, "h w"] | None) -> None:
        """Add an image, in which words win by their places, or none where that is -1."""
        if words is None:
            return
        told = words != NONE
        counts = _cross(words[told], plain.labels[told], self.words, self.labels)
        self.before += counts
        self.images += counts.sum(1) > 0
        self.is_told = True


@dataclass
class Tallies:
    """Hold the sums of all runs; those of runs that there are not are None."""

    wins: Wins
    replaced: tuple[Changes, ...]
    together: WordWins | None
    distracted: Changes | None
    distractors: WordWins | None

    @classmethod
    def of(cls, variants: Variants) -> Tallies:
        """Begin with no image."""
        count = len(variants.plain.vocabulary.labels)
        together = distractors = None
        if variants.together is not None:
            together = WordWins(len(variants.together.vocabulary.queries), count)
        if variants.distracted is not None:
            distractors = WordWins(len(variants.distractors), count)
        return cls(
            Wins(count),
            tuple(Changes(count) for _ in variants.replaced),
            together,
            Changes(count) if distractors is not None else None,
            distractors,
        )

    def add(self, seen: SeenImage) -> None:
        """Add an image."""
        self.wins.add(seen.plain)
        for changes, other in zip(self.replaced, seen.replaced, strict=True):
            changes.add(seen.plain, other)
        if self.together is not None and seen.together is not None:
            self.together.add(seen.plain, seen.together.words)
        if self.distracted is not None and self.distractors is not None and seen.distracted:
            self.distracted.add(seen.plain, seen.distracted)
            self.distractors.add(seen.plain, seen.distracted.words)


def _zeros(*shape: int) -> Int[torch.Tensor, "..."]:
    return torch.zeros(shape, dtype=torch.int64)


def _count(labels: Int[torch.Tensor, "*place"], count: int) -> Int[torch.Tensor, " label"]:
    return torch.bincount(labels.flatten(), minlength=count)


def _cross(
    rows: Int[torch.Tensor, " place"], columns: Int[torch.Tensor, " place"], height: int, width: int
) -> Int[torch.Tensor, "height width"]:
    """Count pairs of numbers."""
    return torch.bincount(rows * width + columns, minlength=height * width).view(height, width)
