"""Propose synonyms that win somewhere, and words for what no class explains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ovsskit.words.audit import Audit, Replaced, WordAudit

LEAST_OF_CLASS = 0.05
"""The share of a class's pixels that a synonym must win to be proposed. Ours."""
LEAST_OF_ALL = 0.01
"""The share of all pixels that a distractor must take from classes to be proposed. Ours."""


@dataclass(frozen=True)
class Proposals:
    """Hold words to add: for the background, and by class.

    `instead` has, where a recipe reads one word for each class, words that win somewhere for
    classes that win nowhere.
    """

    background: tuple[WordAudit, ...]
    synonyms: Mapping[str, tuple[WordAudit, ...]]
    instead: Mapping[str, Replaced]

    @property
    def are_none(self) -> bool:
        """Say whether nothing is proposed."""
        return not (self.background or self.synonyms or self.instead)


def propose(audit: Audit) -> Proposals:
    """Return what an audit gives reason to change."""
    background = [one for one in audit.distractors if one.share * one.taken >= LEAST_OF_ALL]
    synonyms = {}
    for one in audit.classes:
        found = [word for word in one.words if word.source != "list"]
        if winning := tuple(word for word in found if word.share >= LEAST_OF_CLASS):
            synonyms[one.name] = winning
    if audit.reads_background:
        return Proposals(tuple(background), synonyms, {})
    instead = {}
    for one in audit.classes:
        best = max(one.replaced, key=lambda other: other.share, default=None)
        if not one.images and best is not None and best.share:
            instead[one.name] = best
    return Proposals((), synonyms, instead)
