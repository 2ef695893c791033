"""Find other words for classes: in files, among the shipped synonyms, and by spelling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from ovsskit.engine.readable import Reading
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadFile, Place, did_you_mean, first_of
from ovsskit.files.reading import Unreadable, read_text
from ovsskit.recipe.class_lists import refuse_other_forms, split_words
from ovsskit.recipe.vocabulary import presets, read_classes, split_classes
from ovsskit.texts.read import Line, key_of, read_toml, shipped_file

SPELT_ALIKE = 0.8
"""The share of letters that two words have in common from which on one may be the other misspelt:
2 * common / all letters of both, as difflib counts."""
FORM = 'Write a class and its synonyms on each line: "cat: kitten, tabby".'
"""The form of a text file of synonyms."""

Synonyms = Mapping[str, Mapping[str, str]]
"""By class, other words for it, each with where it comes from."""


def read_synonyms(paths: Sequence[Path], vocabulary: Vocabulary) -> dict[str, dict[str, str]]:
    """Return the words that files name for classes; lines for other classes do no harm.

    A TOML file has a text of words with commas between for each class, any other file a line
    `cat: kitten, tabby`. Capitals, blanks and hyphens of a class's name make no difference.

    Raises:
        BadFile, BrokenToml: a file cannot be read, is of another form, or names none of the
            classes.
        BadClasses: what stands for a word is none.
    """
    names = {key_of(name): name for name in vocabulary.names}
    found: dict[str, dict[str, str]] = {}
    for path in paths:
        lines = read_toml(path) if path.suffix == ".toml" else _read_lines(path)
        known = [line for line in lines if key_of(line.name) in names]
        if not known:
            what = "The file has synonyms for none of the classes."
            there = f"It names: {first_of([line.name for line in lines], most=5)}"
            fix = did_you_mean(lines[0].name, vocabulary.names) if lines else FORM
            raise BadFile(what, there=there, fix=fix, where=Place(str(path)))
        for line in known:
            for word in split_words(line.text):
                refuse_other_forms(word, FORM, line.where)
                found.setdefault(names[key_of(line.name)], {}).setdefault(word, str(line.where))
    return found


def _read_lines(path: Path) -> list[Line]:
    """Return the lines of a text file of synonyms, blank ones and comments left out."""
    try:
        texts = enumerate(map(str.strip, read_text(path).splitlines()), 1)
    except Unreadable as error:
        what = f"The file of synonyms cannot be read: {error}."
        raise BadFile(what, fix=FORM, where=Place(str(path))) from error
    lines = []
    for number, text in texts:
        name, mark, words = map(str.strip, text.partition(":"))
        if not text or text.startswith("#"):
            continue
        if not (name and mark and words):
            what = f"`{text}` names no class with its synonyms."
            raise BadFile(what, fix=FORM, where=Place(str(path), number))
        lines.append(Line(" ".join(name.split()), words, Place(str(path), number)))
    return lines


def shipped_synonyms(vocabulary: Vocabulary) -> dict[str, dict[str, str]]:
    """Return the shipped synonyms of the classes that have one."""
    lines = {key_of(line.name): line.text for line in read_toml(shipped_file("synonyms"))}
    return {
        name: {lines[key_of(name)]: "shipped"} for name in vocabulary.names if key_of(name) in lines
    }


def respell(
    vocabulary: Vocabulary, more: Sequence[str], read: Callable[[str], Reading | None]
) -> dict[str, dict[str, str]]:
    """Return correctly spelt words for classes that seem misspelt.

    Such is a single word that no shipped list has, that a model reads in pieces, and that is spelt
    almost like a word of `more` or of a shipped list.
    """
    known = [*dict.fromkeys([*more, *_listed()])]
    found = {}
    for name in vocabulary.names:
        reading = read(name)
        is_whole = " " in name or reading is None or len(reading.ids) < 2
        if not is_whole and name.casefold() not in known:
            near = get_close_matches(name.casefold(), known, n=1, cutoff=SPELT_ALIKE)
            found.update({name: {near[0]: "spelling"}} if near else {})
    return found


@cache
def _listed() -> tuple[str, ...]:
    """Return the words of all shipped lists of classes."""
    lines = [line for path in presets().values() for line in read_classes(path)]
    return tuple(dict.fromkeys(word.casefold() for line in lines for word in split_classes(line)))
