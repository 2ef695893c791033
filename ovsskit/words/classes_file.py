"""Write proposed words as a file of classes, with the evidence in comments."""

from __future__ import annotations

from collections.abc import Sequence

from ovsskit.engine.values import Vocabulary
from ovsskit.words.audit import Audit, ClassAudit, WordAudit, percent
from ovsskit.words.proposals import Proposals
from ovsskit.words.text_space import Pair


def classes_text(
    audit: Audit, proposals: Proposals, vocabulary: Vocabulary, behind: Sequence[str]
) -> str:
    """Return the text of a file that `--classes-file` reads: a class on each line, then its words.

    `behind` are words for the background that are not the recipe's own: these stay without a file.
    """
    lines = [
        f"# Words for {audit.recipe}, proposed by {audit.images} images without labels. Read them:",
        "# what wins is not always right. Lines that start with # are skipped.",
        "",
    ]
    if proposals.background:
        lines.append("# Words for what is none of the classes. Remove those that a class includes.")
    lines += [f"# + {_evidence(one, 'all pixels')}" for one in proposals.background]
    if words := [*behind, *(one.word for one in proposals.background)]:
        lines += [", ".join([vocabulary.background, *words]), ""]
    synonyms = vocabulary.synonyms or ((),) * len(vocabulary.names)
    near = [pair for pair in audit.pairs if pair.is_near]
    for one, own in zip(audit.classes, synonyms, strict=True):
        mine = [pair for pair in near if {pair.first, pair.second} & {one.name, *own}]
        lines += [f"# {line}" for line in _comments(one, mine, proposals)]
        added = [word.word for word in proposals.synonyms.get(one.name, ())]
        lines.append(", ".join([one.name, *own, *added]))
    return "\n".join([*lines, ""])


def _comments(one: ClassAudit, near: Sequence[Pair], proposals: Proposals) -> list[str]:
    """Return what stands above the line of a class."""
    told = [] if one.images else ["wins nowhere"]
    for pair in near:
        told.append(f"`{pair.first}` and `{pair.second}` are nearly the same ({pair.cosine:.2f})")
    for word in one.words:
        if word.source == "list" and not word.images:
            told.append(f"`{word.word}` wins nowhere beside the others")
    told += [f"+ {_evidence(word, 'its pixels')}" for word in proposals.synonyms.get(one.name, ())]
    if instead := proposals.instead.get(one.name):
        told.append(f"`{instead.word}` in its place wins {percent(instead.share)} of all pixels")
    return told


def _evidence(one: WordAudit, whole: str) -> str:
    """Return what speaks for a word."""
    before = ", ".join(f"{other.name} {percent(other.share)}" for other in one.before)
    wins = f"{one.word} ({one.source}) wins {percent(one.share)} of {whole}, in {one.images} images"
    return f"{wins}; they were {before}"
