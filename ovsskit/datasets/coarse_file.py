"""Read a file that says which classes of a data set are one, when it is counted coarsely.

It has a coarse class on each line, and after a colon the classes that it is made of:

    animal: dog, cat, bird
    vehicle: car, bus
    void: sign

Classes that stand on no line stay what they are. What `void` is made of counts nowhere. Blank lines
and those that start with `#` are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ovsskit.datasets.class_file import VOID_NAME
from ovsskit.datasets.colours import BLACK, distinct_colours
from ovsskit.datasets.dataset import VOID, Facts
from ovsskit.datasets.matching import plain
from ovsskit.errors import BadClasses, Place, did_you_mean, first_of
from ovsskit.files.reading import Unreadable, read_text

FORM = "Write on each line a class and what it is made of: `animal: dog, cat`."


def read_coarse_file(path: Path, fine: Facts) -> Facts:
    """Return the facts of a data set in the coarser classes of a file.

    Raises:
        BadClasses: the file cannot be read, names no class of the data set, or has one twice.
    """
    names, numbers = _read(fine, path)
    background = _background(fine, names)
    palette = list(distinct_colours(len(names)))
    if background is not None:
        palette[background] = BLACK
    words = {
        name: tuple(_words(fine, [one for one, into in enumerate(numbers) if into == number]))
        for number, name in enumerate(names)
    }
    return Facts(
        name=f"{fine.name}-{path.stem}",
        title=f"{fine.title}, {len(names)} coarse classes",
        classes=names,
        palette=tuple(palette),
        background=background,
        own_words=words,
        coarse_of=fine.name,
        coarse=numbers,
    )


def _background(fine: Facts, names: tuple[str, ...]) -> int | None:
    """Return the number of the background, unless it was given to another class."""
    name = None if fine.background is None else fine.classes[fine.background]
    return names.index(name) if name in names else None


def _words(fine: Facts, members: list[int]) -> Iterator[str]:
    """Yield the words by which the fine classes of a coarse one are known."""
    for number in members:
        if number != fine.background:
            yield fine.classes[number]
            yield from fine.own_words.get(fine.classes[number], ())


def _read(fine: Facts, path: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the coarse classes, and for every fine one the number of its own."""
    known = {plain(name): number for number, name in enumerate(fine.classes)}
    names: list[str] = []
    numbers: dict[int, int] = {}
    for line, coarse, members in _lines(path):
        where = Place(str(path), line)
        if coarse in names:
            raise BadClasses(f"`{coarse}` is on two lines.", fix="Join them.", where=where)
        number = VOID if coarse == VOID_NAME else len(names)
        names += [] if number == VOID else [coarse]
        for member in members:
            if (found := known.get(plain(member))) is None:
                what = f"{fine.title} has no class `{member}`."
                fix = did_you_mean(member, fine.classes)
                raise BadClasses(what, there=first_of(fine.classes), fix=fix, where=where)
            if found in numbers:
                what = f"`{member}` belongs to two classes."
                raise BadClasses(what, fix="Leave it in one.", where=where)
            numbers[found] = number
    if not numbers:
        what = "The file of coarse classes groups no classes."
        raise BadClasses(what, fix=FORM, where=Place(str(path)))
    for number, name in enumerate(fine.classes):
        if number in numbers:
            continue
        if name in names:
            what = f"`{name}` is both a class of its own and a coarse one."
            fix = f"Add it to the line: `{name}: {name}, ...`."
            raise BadClasses(what, fix=fix, where=Place(str(path)))
        numbers[number] = len(names)
        names.append(name)
    return tuple(names), tuple(numbers[one] for one in range(len(fine.classes)))


def _lines(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Yield the number of every line, its coarse class, and the classes that this is made of."""
    try:
        text = read_text(path)
    except Unreadable as error:
        what = f"The file of coarse classes cannot be read: {error}."
        raise BadClasses(what, fix=FORM, where=Place(str(path))) from error
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.strip().startswith("#"):
            continue
        name, colon, rest = line.partition(":")
        members = [" ".join(one.split()) for one in rest.split(",") if one.strip()]
        if not (colon and name.strip() and members):
            what = f"`{line.strip()}` does not say what a class is made of."
            raise BadClasses(what, fix=FORM, where=Place(str(path), number))
        yield number, " ".join(name.split()), members
