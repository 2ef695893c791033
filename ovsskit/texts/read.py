"""Read one text for each class: from the texts that come with the package, or from a file."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ovsskit.engine.values import Vocabulary
from ovsskit.errors import BadFile, Place, did_you_mean, first_of
from ovsskit.files.reading import Unreadable, read_text
from ovsskit.recipe.toml_lines import Table, read

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).parent
MARK = ">="
"""What stands between name and text on a line of the published format."""

MOST_BYTES = 4_000_000
"""The largest file of texts: forty thousand of a hundred characters."""

FORMS = (
    'Write `"dog" = "a text"` on the lines of a TOML file, or `dog >= a text` on those of a text '
    "file, in the order of the classes."
)


@dataclass(frozen=True)
class Line:
    """Hold the name and text of a line, and where it stands."""

    name: str
    text: str
    where: Place


def shipped_file(kind: str) -> Path:
    """Return the file of a shipped set of texts: `definitions` or `synonyms`."""
    return SHIPPED / f"{kind}.toml"


def texts_of_classes(path: Path, vocabulary: Vocabulary) -> list[str | None]:
    """Return the text of every class from a file, or None where it has none.

    A TOML file is looked up by the classes' names, whose capitals, blanks and hyphens make no
    difference. Of any other file the lines `name >= text` are those of the classes, in their order
    (the published form, in which names do not count); a line with the name of another class is
    refused.

    Raises:
        BadFile, BrokenToml: the file cannot be read, or its lines do not match the classes.
    """
    if path.suffix == ".toml":
        lines = {key_of(line.name): line.text for line in read_toml(path)}
        return [lines.get(key_of(name)) for name in vocabulary.names]
    return [line.text for line in _in_order(path, vocabulary)]


def key_of(name: str) -> str:
    """Return a name without what makes no difference: capitals, blanks, hyphens and the like."""
    return re.sub(r"[\W_]+", "", name.casefold())


def read_toml(path: Path) -> list[Line]:
    """Read a table of texts by name.

    Raises:
        BadFile, BrokenToml: the file is missing, no TOML, or holds something else than texts, or
            two for a name.
    """
    table = read(path, MOST_BYTES)
    lines = []
    for name, text in table.items():
        if not isinstance(text, str) or not text.strip():
            raise BadFile(f"`{name}` has no text.", there=FORMS, where=table.place_of(name))
        lines.append(Line(name, text.strip(), table.place_of(name)))
    refuse_twice(table)
    return lines


def refuse_twice(table: Table) -> None:
    """Refuse a table in which a name appears twice.

    Raises:
        BadFile: two names differ in capitals, blanks or hyphens alone.
    """
    keys: set[str] = set()
    for name in table:
        if key_of(name) in keys:
            what = f"`{name}` appears twice, differing only in spaces or capitals."
            raise BadFile(what, where=table.place_of(name))
        keys.add(key_of(name))


def read_lines(path: Path) -> list[Line]:
    """Read the lines `name >= text` of a file.

    Blank lines are skipped, and so is all after a second mark.

    Raises:
        BadFile: the file cannot be read, or a line has no text.
    """
    try:
        texts = read_text(path, MOST_BYTES).splitlines()
    except Unreadable as error:
        what = f"The file of texts cannot be read: {error}."
        raise BadFile(what, there=FORMS, where=Place(str(path))) from error
    lines = []
    for number, text in enumerate(texts, 1):
        name, *rest = map(str.strip, text.split(MARK))
        if rest and rest[0]:
            lines.append(Line(name, rest[0], Place(str(path), number)))
        elif text.strip():
            raise BadFile(
                f"The line has no text after `{MARK}`.", there=FORMS, where=Place(str(path), number)
            )
    return lines


def _in_order(path: Path, vocabulary: Vocabulary) -> list[Line]:
    lines = read_lines(path)
    others = vocabulary.synonyms or ((),) * len(vocabulary.names)
    keys = [
        {key_of(word) for word in (name, *more)}
        for name, more in zip(vocabulary.names, others, strict=True)
    ]
    for line, own, name in zip(lines, keys, vocabulary.names, strict=False):
        if key_of(line.name) not in own and any(key_of(line.name) in other for other in keys):
            what = f"The text for `{line.name}` is where the text for `{name}` is expected."
            raise BadFile(what, fix="Put the lines in the order of the classes.", where=line.where)
        if key_of(line.name) not in own:
            _warn(str(line.where), line.name, name)
    if len(lines) != len(vocabulary.names):
        where = (
            lines[len(vocabulary.names)].where
            if len(lines) > len(vocabulary.names)
            else Place(str(path))
        )
        what = f"There are {len(lines)} texts for {len(vocabulary.names)} classes."
        missing = vocabulary.names[len(lines) :]
        there = f"The first class without one: {missing[0]}" if missing else ""
        raise BadFile(
            what, there=there, fix="Write one line for each class, in their order.", where=where
        )
    return lines


def explain_missing(path: Path, missing: Sequence[str]) -> BadFile:
    """Return the error that says which classes have no text in a file."""
    known = [line.name for line in read_toml(path)]
    shown = first_of(missing, most=5)
    guess = did_you_mean(missing[0], known)
    fix = 'Add them to a file of your own (`ovsskit expand` writes one), or set missing = "name".'
    return BadFile(f"There is no text for: {shown}.", there=guess, fix=fix, where=Place(str(path)))


@cache
def _warn(where: str, found: str, due: str) -> None:
    """Say once that a line is taken for a class that it does not name."""
    text = "%s: the text for `%s` is used for `%s`, which is expected there"
    log.warning(text, where, found, due)
