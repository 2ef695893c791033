"""From a person's list of words to a vocabulary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, Field

from ovsskit.datasets.colours import BLACK, distinct_colours
from ovsskit.datasets.facts import facts_of, palette_of
from ovsskit.engine.stage import PathOfRecipe
from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadClasses, NoDataset, Place, did_you_mean, first_of
from ovsskit.files.reading import Unreadable, read_text
from ovsskit.recipe.class_lists import (
    LINES,
    list_words,
    parse_classes,
    read_lines,
    refuse_other_forms,
    split_words,
)

Classes: TypeAlias = str | Mapping[str, int] | Mapping[int, str] | Iterable[str]
"""Classes in Python: a list of them, a string as on the command line, or a mapping between names
and ids."""

LARGEST_ID = 65535
LISTS = frozenset({".txt", ".csv", ".tsv", ".json", ".toml", ".yaml", ".yml", ".names"})
"""Endings of files in which people keep lists of classes."""


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
    dataset: Annotated[
        str,
        Field(description="the data set whose classes these are, in its order, such as voc21"),
    ] = ""
    ids: Annotated[
        tuple[int, ...], Field(description="number of each class in the mask; 1, 2, 3... if empty")
    ] = ()
    synonyms: Annotated[
        dict[str, tuple[str, ...]], Field(description="more words for classes, by name")
    ] = {}
    background: Annotated[
        str, Field(description="what to call pixels of no class; their id is 0")
    ] = "background"
    background_words: Annotated[
        tuple[str, ...], Field(description="words for what is none of the classes")
    ] = ()
    first_is_background: Annotated[
        bool, Field(description="the first name and its synonyms are words for the background")
    ] = False
    negatives: Annotated[
        tuple[str, ...],
        Field(description="words that compete with the classes and are never an answer"),
    ] = ()

    def make(self) -> Vocabulary:
        """Return the vocabulary; it has no names if the table names no classes.

        Raises:
            BadClasses: they are named in two ways, cannot be read, are invalid, or are not those
                of the data set.
        """
        ways = [way for way in NAMING if getattr(self, way)]
        if len(ways) > 1:
            raise BadClasses(
                f"Classes are named in {len(ways)} ways: {', '.join(ways)}.",
                fix="Keep one of them.",
            )
        if not ways:
            behind = no_classes(self.background, self.background_words, self.negatives)
            return _of_dataset(behind, self.dataset)
        path = Path(self.file) if self.file else find_preset(self.preset) if self.preset else None
        names = read_classes(path, self.background) if path else self.names
        vocabulary = make_vocabulary(
            names,
            self.ids,
            self.background,
            synonyms=self.synonyms,
            background_words=self.background_words,
            first_is_background=self.first_is_background,
            negatives=self.negatives,
        )
        return _of_dataset(vocabulary, self.dataset)


class NotOfDataset(BadClasses):
    """The classes are not those of the data set that the key `dataset` names."""


NAMING = ("names", "file", "preset")
"""The keys of `[vocabulary]` that name classes, one of which is enough."""


def make_vocabulary(
    names: Classes,
    ids: Sequence[int] = (),
    background: str = "background",
    *,
    synonyms: Mapping[str, str | Sequence[str]] | None = None,
    background_words: str | Sequence[str] = (),
    first_is_background: bool = False,
    negatives: str | Sequence[str] = (),
) -> Vocabulary:
    """Make a vocabulary of names, each with its synonyms after commas; see `list_classes`.

    A name equal to the background's is taken as the background, not as a class, and its synonyms as
    words for it; with `first_is_background` the first name and its synonyms are such words. They
    may be words for a class, too.

    Raises:
        BadClasses: there is no name, a word is blank or stands twice (twice is allowed where ids
            tell classes apart), the ids do not match the names, or there are synonyms for no class.
    """
    listed, own_ids = list_classes(names, background)
    if own_ids and ids:
        raise BadClasses("The ids are given twice.", fix="Leave out those beside the mapping.")
    ids = own_ids or ids
    lines = [split_classes(name) for name in listed]
    behind = [
        *(lines.pop(0) if first_is_background and lines else []),
        *list_words(background_words),
    ]
    kept = lines
    if not ids:
        kept = [line for line in lines if not _is(line, background)]
        behind += [word for line in lines if _is(line, background) for word in line[1:]]
    kept = _with_synonyms(kept, synonyms or {})
    against = list_words(negatives)
    for word in [word for line in [*kept, behind, against] for word in line]:
        refuse_other_forms(word)
    if same := _repeated(against):
        what = f"Named more than once among the negatives: {', '.join(same)}."
        raise BadClasses(what, fix="Name each of them once.")
    if not kept:
        raise BadClasses("There is no class to look for.", fix='Name one or more, such as "dog".')
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
        (BLACK, *distinct_colours(len(kept))),
        background,
        others,
        tuple(behind),
        tuple(against),
    )


def no_classes(
    background: str = "background",
    background_words: str | Sequence[str] = (),
    negatives: str | Sequence[str] = (),
) -> Vocabulary:
    """Return a vocabulary of words for no class; whoever runs it adds classes."""
    words, against = (tuple(list_words(some)) for some in (background_words, negatives))
    return Vocabulary((), (0,), (BLACK,), background, (), words, against)


def replace_classes(names: Classes, vocabulary: Vocabulary, ids: Sequence[int] = ()) -> Vocabulary:
    """Make a vocabulary of other classes.

    Words for the background and negatives stay unless they name a class now.

    Raises:
        BadClasses: the classes are invalid.
    """
    listed, own_ids = list_classes(names, vocabulary.background)
    wanted = {word.casefold() for name in listed for word in split_classes(name)}
    words, against = (
        [word for word in some if word.casefold() not in wanted]
        for some in (vocabulary.background_words, vocabulary.negatives)
    )
    return make_vocabulary(
        listed,
        own_ids or ids,
        vocabulary.background,
        background_words=words,
        negatives=against,
    )


def describe_words(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return the table that names a vocabulary's classes, their synonyms and the background's."""
    others = vocabulary.synonyms or ((),) * len(vocabulary.names)
    lines = [(name, *more) for name, more in zip(vocabulary.names, others, strict=True)]
    return {
        "names": [", ".join(line) for line in lines],
        "ids": list(vocabulary.ids[1:]),
        "background": vocabulary.background,
        "background_words": list(vocabulary.background_words),
        "negatives": list(vocabulary.negatives),
    }


def list_classes(classes: Any, background: str) -> tuple[list[str], tuple[int, ...]]:
    """Return names of classes with synonyms after commas, and ids where a mapping gives them.

    A string is read as on the command line: commas separate classes. A mapping goes from names to
    ids or from ids to names; in it the background may stand with its id, 0.

    Raises:
        BadClasses: it is none of these, or has no order to count in.
    """
    if isinstance(classes, str):
        names = parse_classes(classes, background, where=None)
        refuse_file(names, fix='Give the list itself: classes=["dog", "cat"].')
        return names, ()
    if isinstance(classes, Mapping):
        return _of_mapping(classes, background)
    fix = 'Give a list of names: ["dog", "cat"].'
    if isinstance(classes, Set):
        raise BadClasses("The classes are a set, which has no order to number them in.", fix=fix)
    names = list(classes)
    for name in names:
        if not isinstance(name, str):
            raise BadClasses(f"A class is {name!r}, which is not a name.", fix=fix)
    return names, ()


def _of_mapping(classes: Mapping[Any, Any], background: str) -> tuple[list[str], tuple[int, ...]]:
    pairs = list(classes.items())
    if all(isinstance(key, Integral) for key, _ in pairs):
        pairs = [(name, number) for number, name in pairs]
    for name, number in pairs:
        if (
            not isinstance(name, str)
            or not isinstance(number, Integral)
            or isinstance(number, bool)
        ):
            raise BadClasses(
                f"The mapping of classes holds {name!r} and {number!r}.",
                fix='Map names to ids, {"dog": 12}, or ids to names, {12: "dog"}.',
            )
    kept = [(name, int(number)) for name, number in pairs if (name, number) != (background, 0)]
    return [name for name, _ in kept], tuple(number for _, number in kept)


def refuse_file(names: Sequence[str], fix: str = "", where: Place | None = None) -> None:
    """Refuse the name of a file or shipped list as a class; without a `fix`, name the option.

    Raises:
        BadClasses: it is one.
    """
    if len(names) != 1:
        return
    [name] = names
    if name in presets():
        remedy = fix or f"Leave out --classes, and give --set vocabulary.preset={name}."
        raise BadClasses(f"`{name}` is a shipped list of classes.", fix=remedy, where=where)
    path = Path(name).expanduser()
    if path.suffix.lower() in LISTS or ("/" in name and path.is_file()):
        remedy = fix or f"Give --classes-file {name}."
        raise BadClasses(f"`{name}` is the name of a file.", fix=remedy, where=where)


def split_classes(text: str) -> list[str]:
    """Split words at commas; blanks inside a word are reduced to one."""
    return split_words(text)


def read_classes(path: Path, background: str = "background") -> list[str]:
    """Read classes from a text file: a class on each line with its synonyms, or a JSON list.

    Blank lines and those that start with `#` are passed over.

    Raises:
        BadClasses: the file is missing, is not UTF-8 text, is of another form, holds no name, or an
            empty one.
    """
    try:
        names = read_lines(read_text(path), path, background)
    except Unreadable as error:
        what = f"The file of classes cannot be read: {error}."
        raise BadClasses(what, fix=LINES, where=Place(str(path))) from error
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
        there = f"Available: {first_of(list(found))}"
        raise BadClasses(
            f"There is no shipped list of classes `{name}`.",
            there=there,
            fix=did_you_mean(name, list(found)),
        )
    return found[name]


def presets() -> dict[str, Path]:
    """Return the shipped lists of classes by name."""
    from ovsskit.files.shipped import recipe_folder

    return {path.stem: path for path in sorted((recipe_folder() / "vocabularies").glob("*.txt"))}


def _of_dataset(vocabulary: Vocabulary, dataset: str) -> Vocabulary:
    """Return a vocabulary in the colours of the data set whose classes it names, if it says so.

    Raises:
        NotOfDataset: the data set is unknown, or has another number of classes.
    """
    if not dataset:
        return vocabulary
    try:
        facts = facts_of(dataset)
    except NoDataset as error:
        raise NotOfDataset(error.what, there=error.there, fix=error.fix) from error
    palette, behind = list(palette_of(dataset)), BLACK
    if facts.background is not None:
        behind = palette.pop(facts.background)
    if len(palette) != len(vocabulary.names):
        what = f"{len(vocabulary.names)} classes are named, but {facts.name} has {len(palette)}"
        beside = " besides the background" if facts.background is not None else ""
        fix = "Name all of its classes in its order, or remove `dataset`."
        raise NotOfDataset(f"{what}{beside}.", fix=fix)
    return replace(vocabulary, colours=(behind, *palette), dataset=facts.name)


def _check_numbers(numbers: Sequence[int], count: int) -> None:
    """Check that every class has its own id, which a mask can hold."""
    fix = "Give every name its own id, 1 or more (0 is the background)."
    if len(numbers) != count:
        raise BadClasses(f"{len(numbers)} ids for {count} names.", fix=fix)
    if max(numbers) > LARGEST_ID:
        what = f"A class has the id {max(numbers)}, but masks hold ids up to {LARGEST_ID}."
        raise BadClasses(what, fix="Look for fewer classes, or give smaller ids.")
    if min(numbers) < 1:
        raise BadClasses(f"A class has the id {min(numbers)}.", fix=fix)
    twice = [number for number, times in Counter(numbers).items() if times > 1]
    if twice:
        raise BadClasses(f"The id {twice[0]} is given to more than one class.", fix=fix)


def _with_synonyms(
    classes: list[list[str]], synonyms: Mapping[str, str | Sequence[str]]
) -> list[list[str]]:
    names = [line[0] for line in classes]
    for name in synonyms:
        if _clean(name) not in names:
            fix = did_you_mean(name, names) or "Spell the class as in the list of names."
            raise BadClasses(f"There are synonyms for `{name}`, which is not a class.", fix=fix)
    added = {_clean(name): list_words(words) for name, words in synonyms.items()}
    return [[*line, *added.get(line[0], [])] for line in classes]


def _clean(text: str) -> str:
    return " ".join(text.split())


def _is(line: Sequence[str], name: str) -> bool:
    return line[0].casefold() == name.casefold()


def _repeated(words: Iterable[str]) -> list[str]:
    return [word for word, count in Counter(word.casefold() for word in words).items() if count > 1]
