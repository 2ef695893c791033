"""What an audit of words found, as plain values for a report, a file or another program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ovsskit.words.text_space import Pair


@dataclass(frozen=True)
class Share:
    """Hold a share, from 0 to 1, and of what it is."""

    name: str
    share: float


@dataclass(frozen=True)
class WordAudit:
    """Hold what a word wins where it is tried beside others.

    For a word of a class `share` is that of the pixels which the class then has, for a distractor
    that of all pixels. `before` says which labels its pixels have with the words as they are, the
    most frequent first, and `taken` which share of them other classes have then. `source` is
    `list`, `shipped`, `spelling`, `distractor`, or a line of a file.
    """

    word: str
    source: str
    share: float
    images: int
    taken: float
    before: tuple[Share, ...]


@dataclass(frozen=True)
class Replaced:
    """Hold what becomes of a class where another word stands for it, as for all that have one.

    `changed` is, of the pixels that have the class with either word, the share that has it with one
    alone; None where there are none. `share` is that of all pixels with the other word.
    """

    word: str
    changed: float | None
    share: float


@dataclass(frozen=True)
class ClassAudit:
    """Hold what was found of a class.

    `share` is that of all pixels, `images` says in how many it wins any. `rival` is the label that
    most often comes second in its pixels, with the share of these. `distracted` is as `changed` of
    `Replaced`, with distractors beside the classes. `words` is empty for a class of one word.
    """

    name: str
    share: float
    images: int
    rival: Share | None
    replaced: tuple[Replaced, ...]
    distracted: float | None
    words: tuple[WordAudit, ...]


@dataclass(frozen=True)
class Audit:
    """Hold what was found of a recipe's words.

    `runs` is how often the recipe ran on an image, `background` the share of pixels of no class.
    `changed_by_synonyms` has, for each run with other words in place of names, the share of all
    pixels whose label changes. `reads_background` says whether words for the background are read.
    `untold` has by topic why something was not told.
    """

    recipe: str
    images: int
    runs: int
    background: float
    classes: tuple[ClassAudit, ...]
    pairs: tuple[Pair, ...]
    changed_by_synonyms: tuple[float, ...]
    changed_by_distractors: float | None
    distractors: tuple[WordAudit, ...]
    reads_background: bool
    untold: Mapping[str, str]

    @property
    def winless(self) -> tuple[str, ...]:
        """Return the classes that never win."""
        return tuple(one.name for one in self.classes if not one.images)


def percent(share: float) -> str:
    """Return a share as a text in per cent; a small one has a digit after the point."""
    value = 100 * share
    if 0 < value < 0.1:
        return "<0.1 %"
    return f"{value:.0f} %" if value >= 10 or not value else f"{value:.1f} %"
