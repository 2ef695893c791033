"""Gather the words that are tried beside those of the classes: synonyms and distractors."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ovsskit.engine.model import Backbone
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import first_of
from ovsskit.recipe.vocabulary import read_classes, split_classes
from ovsskit.words.synonyms import Synonyms, respell, shipped_synonyms
from ovsskit.words.text_space import TextSpace

DISTRACTORS = Path(__file__).with_name("distractors.txt")
"""Common things and stuffs, a word on each line."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidates:
    """Hold words to try: for each class others than its own with their sources, and distractors."""

    synonyms: tuple[Mapping[str, str], ...]
    distractors: tuple[str, ...]


def gather(
    vocabulary: Vocabulary,
    given: Synonyms,
    distractors: Path | None,
    models: Sequence[Backbone],
) -> Candidates:
    """Return what to try for classes: what files name, shipped synonyms, and correct spellings.

    Shipped synonyms are for classes that have no other. Words that stand for another class or for
    the background are left out, and those that are not given and that a model does not know.

    Raises:
        BadClasses: the file of distractors cannot be read.
    """
    common = _words_of(distractors or DISTRACTORS)
    shipped = shipped_synonyms(vocabulary)
    respelt = respell(vocabulary, common, models[0].read_word) if models else {}
    taken = _Taken(vocabulary, models)
    found, refused = [], []
    for label, name in enumerate(vocabulary.names, 1):
        own = vocabulary.synonyms[label - 1] if vocabulary.synonyms else ()
        mine = given.get(name, {})
        others = {**({} if mine or own else shipped.get(name, {})), **respelt.get(name, {})}
        known = {word: source for word, source in others.items() if taken.knows(word)}
        words = {**mine, **{word: known[word] for word in known if word not in mine}}
        free = {word: source for word, source in words.items() if taken.take(word)}
        refused += [word for word in mine if word not in free and word not in (name, *own)]
        found.append(free)
    if refused:
        log.warning("not tried as synonyms, since they are already in use: %s", first_of(refused))
    unknown = [word for word in common if not taken.knows(word)]
    if distractors and unknown:
        log.warning("not tried, since the model does not know them: %s", first_of(unknown))
    tried = [word for word in common if word not in unknown and taken.take(word)]
    return Candidates(tuple(found), tuple(tried))


def keep_apart(candidates: Candidates, space: TextSpace, vocabulary: Vocabulary) -> Candidates:
    """Return the candidates without those that are nearly the word of another class."""
    kept: list[dict[str, str]] = []
    for label, words in enumerate(candidates.synonyms, 1):
        near = {word: other for word in words if (other := space.near(word, label))}
        for word, other in near.items():
            text = "`%s` is not tried for `%s`: it is nearly the word `%s` of another class"
            log.warning(text, word, vocabulary.names[label - 1], other)
        kept.append({word: source for word, source in words.items() if word not in near})
    distractors = [word for word in candidates.distractors if not space.near(word)]
    return Candidates(tuple(kept), tuple(distractors))


class _Taken:
    """Know which words stand for something already, by their letters and by what models read."""

    def __init__(self, vocabulary: Vocabulary, models: Sequence[Backbone]) -> None:
        self.models = models
        self._seen: set[object] = set()
        for _, word in vocabulary.queries:
            self.take(word)

    def knows(self, word: str) -> bool:
        """Say whether all models know a word."""
        return all(model.knows_word(word) for model in self.models)

    def take(self, word: str) -> bool:
        """Take a word, and say whether it was free."""
        readings = [(index, model.read_word(word)) for index, model in enumerate(self.models)]
        marks = {(index, one.ids) for index, one in readings if one is not None}
        keys = {word.casefold(), *marks}
        is_free = self._seen.isdisjoint(keys)
        self._seen |= keys
        return is_free


def _words_of(path: Path) -> list[str]:
    """Return the words of a list, synonyms included, each once."""
    return [*dict.fromkeys(word for line in read_classes(path) for word in split_classes(line))]
