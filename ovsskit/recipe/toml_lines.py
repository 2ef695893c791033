"""Read TOML together with the line on which every table and key stands.

The standard parser reports lines for syntax errors only, and tomlkit keeps no positions, so the
text (once the standard parser has accepted it) is cut into statements and every header and key is
noted with its line.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ovsskit.errors import BadFile, BrokenToml, Place
from ovsskit.files.reading import Unreadable, read_text

TOKEN = re.compile(
    r'"""(?:[^"\\]++|\\.|"(?!""))*+"{3,5}'  # many-line strings first: they begin like others
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]++|\\.)*+"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*|\n|[\[\]{}=,]|[^\s\[\]{}=,\"'#]+",
    re.DOTALL,
)
SEPARATORS = frozenset("[]{}=,\n")
Keys = tuple[str | int, ...]
MOST_DEPTH = 32
"""How deep tables and lists may lie in each other."""
MOST_BYTES = 200_000
"""The largest recipe that is read (a few seconds): sixty times the largest shipped one."""


class Table(dict[str, Any]):
    """Hold a TOML table and where it, and each of its keys, was written."""

    def __init__(self, items: dict[str, Any], place: Place, places: dict[str, Place]) -> None:
        super().__init__(items)
        self.place, self.places = place, places

    def __deepcopy__(self, memo: dict[int, Any]) -> Table:
        """Copy what it holds; places never change."""
        content = {key: copy.deepcopy(value, memo) for key, value in self.items()}
        return Table(content, self.place, {**self.places})

    def place_of(self, key: str) -> Place:
        """Return the place of a key, or that of the table where the key is not written."""
        return self.places.get(key, self.place)


def parse(text: str, file: str) -> Table:
    """Read a TOML text into tables that know their lines.

    Raises:
        BrokenToml: the text is not TOML.
    """
    _refuse_depth(text, file)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise BrokenToml(
            re.sub(r"\s*\(at .*\)$", ".", str(error)), where=Place(file, line)
        ) from error
    except ValueError as error:  # Python turns no text of more than 4300 digits into a number
        raise BrokenToml("A number has thousands of digits.", where=Place(file)) from error
    if not _is_shallow(content):
        raise _too_deep(Place(file))
    root: Table = _with_places(content, locate(text), file, ())
    return root


def tabled(value: Any, place: Place) -> Any:
    """Return a value whose tables know their place, such as one from the command line."""
    if isinstance(value, dict):
        items = {key: tabled(item, place) for key, item in value.items()}
        return Table(items, place, {})
    return [tabled(item, place) for item in value] if isinstance(value, list) else value


def _refuse_depth(text: str, file: str) -> None:
    """Refuse brackets and dotted keys that cost the standard parser recursion or quadratic time."""
    line, brackets, dots = 1, 0, 0
    for token in TOKEN.findall(text):
        if token in SEPARATORS:
            brackets += (token in "[{") - (token in "]}")
            dots = 0
        elif token[0] not in "\"'#":
            dots += token.count(".")
        if max(brackets, dots) > MOST_DEPTH:
            raise _too_deep(Place(file, line))
        line += token.count("\n")


def _is_shallow(value: Any, most: int = MOST_DEPTH) -> bool:
    if not isinstance(value, dict | list):
        return True
    items = value.values() if isinstance(value, dict) else value
    return most > 0 and all(_is_shallow(item, most - 1) for item in items)


def _too_deep(where: Place) -> BrokenToml:
    what = f"Tables and lists are nested more than {MOST_DEPTH} deep."
    return BrokenToml(what, where=where)


def locate(text: str) -> dict[Keys, int]:
    """Return the line (from 1) of every header and key of valid TOML; array items count from 0."""
    lines: dict[Keys, int] = {}
    counts: dict[Keys, int] = {}
    table: Keys = ()
    for line, tokens in _statements(text):
        if tokens[0] == "[":
            array = tokens[1] == "["
            keys = _keys("".join(tokens[2:-2] if array else tokens[1:-1]))
            table = _resolve(keys[:-1], counts)
            table = (*table, keys[-1])
            if array:
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            elif table in counts:
                table = (*table, counts[table])
            _note(lines, table, line)
        else:
            _note(lines, (*table, *_keys("".join(tokens[: tokens.index("=")]))), line)
    return lines


def _note(lines: dict[Keys, int], path: Keys, line: int) -> None:
    for depth in range(1, len(path) + 1):
        lines.setdefault(path[:depth], line)


def _resolve(keys: list[str], counts: dict[Keys, int]) -> Keys:
    path: Keys = ()
    for key in keys:
        path = (*path, key)
        if path in counts:
            path = (*path, counts[path])
    return path


def _keys(text: str) -> list[str]:
    nested: Any = tomllib.loads(f"{text} = 0")
    keys = []
    while isinstance(nested, dict):
        [(key, nested)] = nested.items()
        keys.append(key)
    return keys


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    line, first, depth = 1, 1, 0
    tokens: list[str] = []
    for token in TOKEN.findall(text + "\n"):
        depth += (token in ("[", "{")) - (token in ("]", "}"))
        if token == "\n" and depth == 0:
            if tokens:
                yield first, tokens
            tokens = []
        elif token != "\n" and not token.startswith("#"):
            first = first if tokens else line
            tokens.append(token)
        line += token.count("\n")


def _with_places(value: Any, lines: dict[Keys, int], file: str, path: Keys) -> Any:
    if not isinstance(value, dict | list):
        return value
    here = Place(
        file, next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), 1)
    )
    if isinstance(value, dict):
        items = {key: _with_places(item, lines, file, (*path, key)) for key, item in value.items()}
        return Table(
            items, here, {key: Place(file, lines.get((*path, key), here.line)) for key in value}
        )
    return [_with_places(item, lines, file, (*path, index)) for index, item in enumerate(value)]


def read(path: Path, most: int = MOST_BYTES) -> Table:
    """Read a TOML file into tables that know their lines.

    Raises:
        BadFile: the file cannot be read, is larger than `most` bytes, or no UTF-8 text.
        BrokenToml: it is not TOML.
    """
    try:
        text = read_text(path, most)
    except Unreadable as error:
        raise BadFile(f"The file cannot be read: {error}.", where=Place(str(path))) from error
    return parse(text, str(path))
