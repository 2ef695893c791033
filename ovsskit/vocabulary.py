"""From a person's list of words to a vocabulary."""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from ovsskit.class_lists import LINES, read_lines, refuse_other_forms, split_words
from ovsskit.errors import BadClasses, Place, did_you_mean
from ovsskit.stage import PathOfRecipe
from ovsskit.values import Vocabulary

GOLDEN_RATIO = 0.618033988749895
LARGEST_ID = 65535


class VocabularyTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """Name the classes that a recipe looks for when the command line names none."""

    names: Annotated[
        tuple[str, ...],
        Field(description='the classes; synonyms follow a name after commas: "cat, kitten"'),
    ] = ()
    file: Annotated[
        PathOfRecipe, Field(description="a file in place of `names`, with one class on each line")
    ] = ""
    preset: Annotated[
        str, Field(description="a shipped list of classes in place of `names`, such as voc21")
    ] = ""
    ids: Annotated[
        tuple[int, ...], Field(description="number of each class in the mask; 1, 2, 3... if empty")
    ] = ()
    synonyms: Annotated[
        dict[str, tuple[str, ...]], Field(description="more words for classes, by name")
    ] = {}
    background: Annotated[
        str, Field(description="what to call pixels of no class; their number is 0")
    ] = "background"
    background_words: Annotated[
        tuple[str, ...], Field(description="words for what is none of the classes")
    ] = ()
    first_is_background: Annotated[
        bool, Field(description="the first name and its synonyms are words for the background")
    ] = False

    def make(self) -> Vocabulary | None:
        """Return the vocabulary, or None if the table names no classes.

        Raises:
            BadClasses: they are named in two ways, cannot be read, or are no good.
        """
        ways = [way for way in NAMING if getattr(self, way)]
        if len(ways) > 1:
            raise BadClasses(
                f"Classes are named in {len(ways)} ways: {', '.join(ways)}.",
                fix="Keep one of them.",
            )
        if not ways:
            return None
        path = Path(self.file) if self.file else find_preset(self.preset) if self.preset else None
        names = read_classes(path, self.background) if path else self.names
        return make_vocabulary(
            names,
            self.ids,
            self.background,
            synonyms=self.synonyms,
            background_words=self.background_words,
            first_is_background=self.first_is_background,
        )

    def replace(self, names: Sequence[str]) -> Vocabulary:
        """Return a vocabulary of other classes; words for the background stay, but for those that name a class now.

        Raises:
            BadClasses: the classes are no good.
        """
        own = self.make()
        return replace_classes(
            names, self.background, own.background_words if own else self.background_words
        )


NAMING = ("names", "file", "preset")
"""The keys of `[vocabulary]` that name classes, one of which is enough."""


def make_vocabulary(
    names: Sequence[str],
    ids: Sequence[int] = (),
    background: str = "background",
    *,
    synonyms: Mapping[str, Sequence[str]] | None = None,
    background_words: Sequence[str] = (),
    first_is_background: bool = False,
) -> Vocabulary:
    """Make a vocabulary of names, each of which may be followed by synonyms after commas.

    A name equal to the background's is taken as the background, not as a class, and its synonyms as words for it; with
    `first_is_background` the first name and its synonyms are such words. They may be words for a class, too.

    Raises:
        BadClasses: there is no name, a word is blank or stands twice (twice is allowed where ids tell classes apart),
            the ids do not match the names, or there are synonyms for no class.
    """
    lines = [split_classes(name) for name in names]
    behind = [
        *(lines.pop(0) if first_is_background and lines else []),
        *map(_clean, background_words),
    ]
    behind += [word for line in lines if _is(line, background) and not ids for word in line[1:]]
    kept = [line for line in lines if ids or not _is(line, background)]
    kept = _with_synonyms(kept, synonyms or {})
    for word in [word for line in [*kept, behind] for word in line]:
        refuse_other_forms(word)
    if not kept:
        raise BadClasses(
            "There is no class to look for.", fix='Name some: --classes "dog, cat, grass".'
        )
    twice = [] if ids else [*_repeated(word for line in kept for word in line), *_repeated(behind)]
    if twice:
        fix = (
            "Name each class once."
            if not any(line[1:] for line in kept)
            else "Give each word to one class, once."
        )
        raise BadClasses(f"Named more than once: {', '.join(twice)}.", fix=fix)
    numbers = tuple(ids) or tuple(range(1, len(kept) + 1))
    _check_numbers(numbers, len(kept))
    others = tuple(tuple(line[1:]) for line in kept) if any(line[1:] for line in kept) else ()
    return Vocabulary(
        tuple(line[0] for line in kept),
        (0, *numbers),
        _colours(len(kept)),
        background,
        others,
        tuple(behind),
    )


def replace_classes(
    names: Sequence[str], background: str, background_words: Sequence[str]
) -> Vocabulary:
    """Make a vocabulary of other classes; words for the background stay, but for those that name a class now."""
    wanted = {word.casefold() for name in names for word in split_classes(name)}
    words = [word for word in background_words if word.casefold() not in wanted]
    return make_vocabulary(names, background=background, background_words=words)


def split_classes(text: str) -> list[str]:
    """Split words that stand on one line, with commas between them; blanks inside a word are reduced to one."""
    return split_words(text)


def read_classes(path: Path, background: str = "background") -> list[str]:
    """Read classes from a text file: one on each line with its synonyms after commas, or a JSON list of such lines.

    Blank lines and those that start with `#` are passed over.

    Raises:
        BadClasses: the file is missing, is no UTF-8 text, is of another form, holds no name, or an empty one.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadClasses(
            f"The file of classes cannot be read: {reason}.", fix=LINES, where=Place(str(path))
        ) from error
    names = read_lines(text, path, background)
    if not names:
        raise BadClasses("The file of classes is empty.", fix=LINES, where=Place(str(path)))
    return names


def find_preset(name: str) -> Path:
    """Return the file of a list of classes that comes with the package.

    Raises:
        BadClasses: there is none of this name.
    """
    found = presets()
    if name not in found:
        there = f"There are: {', '.join(found)}"
        raise BadClasses(
            f"There is no shipped list of classes `{name}`.",
            there=there,
            fix=did_you_mean(name, list(found)),
        )
    return found[name]


def presets() -> dict[str, Path]:
    """Return the shipped lists of classes by name."""
    from ovsskit.extends import recipe_folder

    return {path.stem: path for path in sorted((recipe_folder() / "vocabularies").glob("*.txt"))}


def _check_numbers(numbers: Sequence[int], count: int) -> None:
    """See that every class has a number of its own that a mask can hold."""
    fix = "Give every name an id of its own, 1 or more (0 is the background)."
    if len(numbers) != count:
        raise BadClasses(f"{len(numbers)} ids for {count} names.", fix=fix)
    if max(numbers) > LARGEST_ID:
        what = f"A class has the number {max(numbers)}, and masks hold numbers up to {LARGEST_ID}."
        raise BadClasses(what, fix="Look for fewer classes, or give smaller ids.")
    if min(numbers) < 1:
        raise BadClasses(f"A class has the id {min(numbers)}.", fix=fix)
    twice = [number for number, times in Counter(numbers).items() if times > 1]
    if twice:
        raise BadClasses(f"The id {twice[0]} is given to more than one class.", fix=fix)


def _with_synonyms(
    classes: list[list[str]], synonyms: Mapping[str, Sequence[str]]
) -> list[list[str]]:
    names = [line[0] for line in classes]
    for name in synonyms:
        if _clean(name) not in names:
            fix = did_you_mean(name, names) or "Name the class as it stands among the names."
            raise BadClasses(f"There are synonyms for `{name}`, which is no class.", fix=fix)
    added = {_clean(name): list(map(_clean, words)) for name, words in synonyms.items()}
    return [[*line, *added.get(line[0], [])] for line in classes]


def _clean(text: str) -> str:
    return " ".join(text.split())


def _is(line: Sequence[str], name: str) -> bool:
    return line[0].casefold() == name.casefold()


def _repeated(words: Iterable[str]) -> list[str]:
    return [word for word, count in Counter(word.casefold() for word in words).items() if count > 1]


def _colours(count: int) -> tuple[tuple[int, int, int], ...]:
    """Return black for the background, then colours whose hues stay far apart however many there are."""
    colours = [(0, 0, 0)]
    for index in range(count):
        hue = (0.02 + index * GOLDEN_RATIO) % 1.0
        lightness, saturation = [(0.55, 0.9), (0.4, 0.75), (0.7, 0.8)][index // 8 % 3]
        red, green, blue = colorsys.hls_to_rgb(hue, lightness, saturation)
        colours.append((round(red * 255), round(green * 255), round(blue * 255)))
    return tuple(colours)
