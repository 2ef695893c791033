"""Read a list of classes in whatever form a person keeps it; refuse a form that leaves a doubt.

Read are names between commas, lines, and a JSON list, with quotes, bullets, or numbers that are
those of the masks. A table, an object, or names that are separated in two ways are refused, with
what to write instead.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ovsskit.errors import BadClasses, Place

NAMES = 'Separate the names by commas: "dog, cat, grass".'
LINES = 'Write a class on each line, its synonyms after commas: "cat, kitten".'
MARKS = {",": "commas", ";": "semicolons", "|": "bars", "\t": "tabs", "\n": "lines"}
QUOTES = ('""', "''", "``", "\u201c\u201d", "\u2018\u2019")
HEADINGS = frozenset(
    {"category", "class", "classes", "color", "colour", "id", "idx", "index", "label", "labels"}
    | {"name", "names", "number", "class_name", "class name", "class_id", "class id"}
)
BULLET = re.compile(r"[-*•]\s+(?P<name>\S.*)")
NUMBERED = re.compile(r"(?P<number>\d{1,6})\s*(?P<mark>[:.)=,;|\t]|\s)\s*(?P<name>\S.*)")

log = logging.getLogger(__name__)

COMMAND_LINE = Place("--classes")

Line = tuple[Place | None, str]
"""Where a text stands, and the text."""


def split_words(text: str) -> list[str]:
    """Split words at commas; remove quotes around a word and repeated blanks inside it."""
    return [_unquoted(" ".join(word.split())) for word in text.split(",")]


def list_words(words: str | Iterable[str]) -> list[str]:
    """Return words, given as a list or with commas between, as a list without repeated blanks."""
    return (
        split_words(words) if isinstance(words, str) else [" ".join(one.split()) for one in words]
    )


def parse_classes(
    text: str, background: str = "background", where: Place | None = COMMAND_LINE
) -> list[str]:
    """Return the classes of an option, or of a string in Python.

    It is a JSON list, or names between commas, semicolons, bars, tabs or lines.

    Raises:
        BadClasses: the text is an object, separates names in two ways, or numbers them otherwise
            than masks do.
    """
    whole = text.strip()
    if whole.startswith("{"):
        raise _other_form("This is a JSON object.", NAMES, where)
    if whole.startswith("[") and whole.endswith("]"):
        listed = _listed(whole)
        if listed is not None:
            return listed
        whole = whole[1:-1].strip()  # a shell has taken the quotes away
    inside = _unquoted(whole)
    whole = whole if whole[:1] in inside else inside
    whole = re.sub(r"\s*,\s*", ",", whole)
    found = [mark for mark in MARKS if mark in whole]
    if len(found) > 1:
        what = f"Names are separated by {' and '.join(MARKS[mark] for mark in found)}."
        fix = f"{NAMES} Synonyms go into a file: --classes-file."
        raise BadClasses(what, fix=fix, where=where)
    names = whole.splitlines() if found == ["\n"] else whole.split(found[0] if found else ",")
    kept = [name.strip() for name in names if name.strip() or found != ["\n"]]
    plain = _plain([(where, _unquoted(name)) for name in kept], background, NAMES)
    return [" ".join(name.split()) for _, name in plain]


def read_lines(text: str, path: Path, background: str = "background") -> list[str]:
    """Return the classes in a file's text: lines of a name and synonyms, or a JSON list of them.

    Blank lines and those that start with `#` are passed over.

    Raises:
        BadClasses: the text is a table or another JSON, or a line holds an empty name or what is
            not a name.
    """
    lines = _lines(text, path, background)
    for place, line in lines:
        if re.search(r"\s#\s", line):
            fix = "Write a comment on its own line, starting with `#`."
            raise BadClasses(f"A comment follows a name: {line}", fix=fix, where=place)
        if any(mark in line for mark in ";|\t"):
            raise BadClasses(f"`{line}` is not a list of words.", fix=LINES, where=place)
        for word in split_words(line):
            refuse_other_forms(word, LINES, place)
    return [line for _, line in lines]


def refuse_other_forms(word: str, fix: str = NAMES, where: Place | None = None) -> None:
    """Refuse a word that is empty, or that must be a part of some other form.

    Raises:
        BadClasses: it is.
    """
    if not word:
        raise BadClasses("A class has an empty name.", fix=fix, where=where)
    if any(mark in word for mark in MARKS) or word[0] in '[{"' or word[-1] in ']}"':
        raise BadClasses(f"`{word}` is not one name.", fix=fix, where=where)


def _lines(text: str, path: Path, background: str) -> list[Line]:
    where = Place(str(path))
    if text.lstrip()[:1] in ("[", "{"):
        listed = _listed(text)
        if listed is None:
            raise _other_form("The file is not a list of names.", LINES, where)
        return [(where, name) for name in listed]
    numbered = enumerate(map(str.strip, text.splitlines()), 1)
    lines = [(Place(str(path), n), line) for n, line in numbered if line and line[0] != "#"]
    _refuse_table(lines)
    if len(lines) > 1 and lines[0][1].casefold() in HEADINGS:
        log.warning("%s: `%s` is taken as a class, but may be a heading", *lines[0])
    return _plain(lines, background, LINES)


def _plain(lines: Sequence[Line], background: str, fix: str) -> list[Line]:
    """Remove bullets, and numbers equal to those of the masks, if all of several lines have them.

    Numbers that a blank alone follows may belong to the names ("2 door car"): they count only where
    they are the masks'.
    """
    texts = [line for _, line in lines]
    bullets = [match["name"] for line in texts if (match := BULLET.fullmatch(line))]
    if len(bullets) == len(texts):
        return [(place, name) for (place, _), name in zip(lines, bullets, strict=True)]
    matches = [match for line in texts if (match := NUMBERED.fullmatch(line))]
    if len(matches) < max(2, len(texts)):
        return list(lines)
    names = [match["name"] for match in matches]
    first = int(split_words(names[0])[0].casefold() != background.casefold())
    numbers = [int(match["number"]) for match in matches]
    if numbers == list(range(first, first + len(names))):
        return [(place, name) for (place, _), name in zip(lines, names, strict=True)]
    if any(match["mark"].isspace() for match in matches):
        return list(lines)
    there = (
        "Masks hold 1 for the first class, 2 for the second and so on, and 0 for the background."
    )
    remedy = f"{fix} Other numbers go into a recipe's [vocabulary]: ids = [...]."
    what = f"The numbers of the classes are not those in masks: `{texts[0]}`."
    raise BadClasses(what, there=there, fix=remedy, where=lines[0][0])


def _refuse_table(lines: Sequence[Line]) -> None:
    """Refuse lines of a table: a head of several columns, or a number at the end of each line."""
    rows = [re.split(r"\s*[,;|\t]\s*", line) for _, line in lines]
    has_head = bool(rows) and len(rows[0]) > 1 and {*map(str.casefold, rows[0])} <= HEADINGS
    numbers = [row for row in rows if len(row) > 1 and row[-1].isdigit()]
    if has_head or (len(rows) > 1 and len(numbers) == len(rows)):
        place, line = lines[0]
        raise _other_form(f"The file is a table: {line}", LINES, place)


def _listed(text: str) -> list[str] | None:
    """Return the texts of a JSON list, or None where it is something else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, list) and all(isinstance(name, str) for name in found):
        return [" ".join(name.split()) for name in found]
    return None


def _other_form(what: str, fix: str, where: Place | None) -> BadClasses:
    return BadClasses(what, fix=f"{fix} A JSON list of names is also read.", where=where)


def _unquoted(word: str) -> str:
    is_quoted = len(word) > 1 and word[0] + word[-1] in QUOTES
    return word[1:-1].strip() if is_quoted else word
