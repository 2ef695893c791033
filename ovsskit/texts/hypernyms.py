"""Read the hypernyms of words from a file: what a word is a kind of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ovsskit.errors import BadFile, Place, did_you_mean, first_of
from ovsskit.recipe.toml_lines import read
from ovsskit.texts.read import MOST_BYTES, key_of, refuse_twice

FORM = 'Write lines such as `sofa = ["seat", "furniture"]`.'


def hypernyms_of_words(path: Path, words: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the hypernyms of every word from a TOML file, none where the file has none.

    Words are looked up without regard to capitals, blanks and hyphens.

    Raises:
        BadFile, BrokenToml: the file cannot be read or is invalid, or knows none of the words.
    """
    known = read_hypernyms(path)
    found = [known.get(key_of(word), ()) for word in words]
    if not any(found):
        raise BadFile(
            f"None of the words has a hypernym here: {first_of(list(words), most=5)}.",
            fix=did_you_mean(words[0], list(known)) if words else "",
            where=Place(str(path)),
        )
    return found


def read_hypernyms(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the hypernyms of a file by word, whose spelling `key_of` makes plain.

    Raises:
        BadFile, BrokenToml: the file is missing, no TOML, or holds something else than lists of
            texts, or two for a word.
    """
    table = read(path, MOST_BYTES)
    for word, listed in table.items():
        if not _is_list_of_texts(listed):
            raise BadFile(
                f"`{word}` has no list of hypernyms.", there=FORM, where=table.place_of(word)
            )
    refuse_twice(table)
    return {key_of(word): tuple(one.strip() for one in listed) for word, listed in table.items()}


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) and one.strip() for one in value)
