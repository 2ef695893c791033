"""Read a file that says which class a number or a colour in masks stands for.

It is a `classes.json` as `ovsskit run` writes it, or a text with a class on each line, all in one
form:

    1 dog                      the number in the masks, and the name
    dog #ff0000                the name, and the colour in the masks
    dog 255 0 0                the same
    dog                        names alone: the first is 1 in the masks, 0 if it is `background`

Other words for a class follow its name after commas. A line whose name is `void` gives a number or
colour that counts nowhere. Blank lines and those that start with `#` are passed over.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from ovsskit.datasets.colours import BLACK, Colour, distinct_colours, without_doubles
from ovsskit.errors import BadClasses, Place, shorten
from ovsskit.files.reading import Unreadable, parse_json, read_text

BACKGROUND, VOID_NAME = "background", "void"
HEX = re.compile(r"(?P<name>.*\S)[\s,;]+#(?P<hex>[0-9a-fA-F]{6})")
BYTE = r"25[0-5]|2[0-4]\d|1?\d?\d"
RGB = re.compile(rf"(?P<name>.*?\S)[\s,;]+(?P<r>{BYTE})[\s,;]+(?P<g>{BYTE})[\s,;]+(?P<b>{BYTE})")
NUMBERED = re.compile(r"(?P<number>\d{1,5})(?:\s*[:.)=,;\t]\s*|\s+)(?P<name>\S.*)")
FORMS = "Write on each line `number name`, `name #rrggbb`, `name red green blue`, or a name alone."


@dataclass(frozen=True)
class Row:
    """Describe a class as `classes.json` does."""

    name: str
    number: Annotated[int, Field(ge=0, le=65535)]
    colour: Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")] = ""
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassFile:
    """Know the classes of masks, and the numbers or colours by which masks tell them apart.

    `path` is the file that says so; `void` are numbers that count nowhere. With `by_colour`,
    numbers are colours: red * 65536 + green * 256 + blue.
    """

    path: Path
    names: tuple[str, ...]
    numbers: tuple[int, ...]
    palette: tuple[Colour, ...]
    words: dict[str, tuple[str, ...]]
    void: tuple[int, ...] = ()
    by_colour: bool = False

    @property
    def background(self) -> int | None:
        """Return which of the classes is called `background`, if one is."""
        return _background([name.casefold() for name in self.names])


def need_class_file(path: Path | str | None, masks: Path | str) -> ClassFile:
    """Read the classes of masks, which nothing else can tell.

    Raises:
        BadClasses: no file is named, or it is invalid.
    """
    if path is None:
        what = "Nothing says which classes the numbers in the masks stand for."
        fix = "Name a file with a number and a name on each line, or a classes.json of a run."
        raise BadClasses(what, fix=fix, where=Place(str(masks)))
    return read_class_file(Path(path).expanduser())


def read_class_file(path: Path) -> ClassFile:
    """Read the classes of masks.

    Raises:
        BadClasses: the file cannot be read, is of no known form, or gives a name, number or colour
            to two classes.
    """
    where = Place(str(path))
    try:
        text = read_text(path)
        if text.lstrip()[:1] in ("[", "{"):
            return _make(parse_json(text, list[Row]), path, by_colour=False)
    except Unreadable as error:
        what = f"The file of classes cannot be read: {error}."
        raise BadClasses(what, fix=FORMS, where=where) from error
    lines = [
        (number, line.strip())
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.strip().startswith("#")
    ]
    if not lines:
        raise BadClasses("The file names no class.", fix=FORMS, where=where)
    for form in (HEX, RGB, NUMBERED):
        matches = [form.fullmatch(line) for _, line in lines]
        if all(matches):
            rows = [_row(match.groupdict()) for match in matches if match]
            return _make(rows, path, by_colour=form is not NUMBERED)
        if any(matches):
            number, line = lines[matches.index(None)]
            known = lines[next(index for index, match in enumerate(matches) if match)][1]
            what = f"`{shorten(line)}` has a different form from `{shorten(known)}`."
            raise BadClasses(what, fix=FORMS, where=Place(str(path), number))
    return _make(_of_names([line for _, line in lines]), path, by_colour=False)


def _row(parts: dict[str, str]) -> Row:
    name, *words = (part.strip() for part in parts["name"].split(","))
    if "number" in parts:
        return Row(name, int(parts["number"]), "", tuple(words))
    if "hex" in parts:
        code = int(parts["hex"], 16)
    else:
        code = int.from_bytes(bytes(int(parts[one]) for one in "rgb"))
    return Row(name, code, f"#{code:06x}", tuple(words))


def _of_names(names: list[str]) -> list[Row]:
    """Count names from the background, 0, which stands first if none of them is its."""
    if _background([name.casefold() for name in names]) != 0:
        names = [BACKGROUND, *names]
    return [_row({"name": name, "number": str(index)}) for index, name in enumerate(names)]


def _make(rows: Sequence[Row], path: Path, *, by_colour: bool) -> ClassFile:
    where = Place(str(path))
    kept = [row for row in rows if row.name.casefold() != VOID_NAME]
    if not kept:
        raise BadClasses("The file names no class.", fix=FORMS, where=where)
    names = [" ".join(row.name.split()) for row in kept]
    numbers = [row.number for row in rows]
    for what, all_of_it in (("name", [name.casefold() for name in names]), ("number", numbers)):
        twice = [one for one, times in Counter(all_of_it).items() if times > 1]
        if twice:
            shown = f"#{twice[0]:06x}" if by_colour and what == "number" else twice[0]
            kind = "colour" if by_colour and what == "number" else what
            raise BadClasses(f"The {kind} {shown} is given to two classes.", where=where)
    background = _background([name.casefold() for name in names])
    given = [tuple(bytes.fromhex(row.colour[1:])) for row in kept if row.colour]
    palette = list(distinct_colours(len(kept)))
    if len(given) == len(kept):
        palette = [(red, green, blue) for red, green, blue in given]
    elif background is not None:
        palette[background] = BLACK
    return ClassFile(
        path,
        tuple(names),
        tuple(row.number for row in kept),
        without_doubles(palette, background),
        {name: row.words for name, row in zip(names, kept, strict=True) if row.words},
        tuple(row.number for row in rows if row not in kept),
        by_colour,
    )


def _background(names: Sequence[str]) -> int | None:
    return names.index(BACKGROUND) if BACKGROUND in names else None
