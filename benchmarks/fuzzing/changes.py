"""Change a good file at random: as a tree, as text, or as bytes."""

from __future__ import annotations

import copy
import datetime
import json
import math
import random
import tomllib
from collections.abc import Callable
from typing import Any

from fuzzing.toml_text import inline, write_toml


def broken(content: bytes, suffix: str, chance: random.Random) -> bytes:
    """Return a file's content with one to three changes."""
    for _ in range(chance.randint(1, 3)):
        tree = _tree(content, suffix) if chance.random() < 0.7 else None
        if tree is None:
            content = chance.choice((_change_bytes, _change_lines))(content, chance)
        else:
            write = write_toml if suffix == ".toml" else _write_json
            content = write(_change_tree(tree, chance)).encode("utf-8", "surrogatepass")
    return content


def _write_json(tree: Any) -> str:
    return json.dumps(tree, default=str)


def _tree(content: bytes, suffix: str) -> Any:
    try:
        if suffix == ".toml":
            return tomllib.loads(content.decode())
        return json.loads(content) if suffix == ".json" else None
    except (ValueError, RecursionError):
        return None


def _nested(levels: int, around: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = around(value)
    return value


def odd_value(chance: random.Random) -> Any:
    """Return a value that few places expect."""
    makers: list[Callable[[], Any]] = [
        lambda: chance.choice((0, 1, -1, 5, 255, 65536, 2**31, 2**63, 2**70, -(10**30), 10**300)),
        lambda: chance.choice((0.5, -0.0, 1e-300, 1e308, math.inf, -math.inf, math.nan)),
        lambda: chance.choice((True, False)),
        lambda: chance.choice(
            ("", " ", "x", "../../x", "a.b", "é😀", "on", "all", "\x1b[31m", "a\nb")
        ),
        lambda: "long" * chance.choice((10, 1000, 20_000)),
        lambda: chance.choice(([], [[]], [{}], [1, 2], [1.5], ["x"], ["x", "x"], [["x"]], [None])),
        lambda: chance.choice(({}, {"": 1}, {"use": 5}, {"x": {"x": {}}}, {"use": "softmax"})),
        lambda: [chance.choice((0, "x", {}))] * chance.choice((3, 1000)),
        lambda: datetime.date(2024, 2, 29),
        lambda: datetime.time(1, 2, 3),
        lambda: datetime.datetime(2024, 2, 29, 1, 2, 3, tzinfo=datetime.UTC),
        lambda: _nested(chance.choice((3, 30, 90)), lambda value: [value]),
        lambda: _nested(chance.choice((3, 30, 90)), lambda value: {"inner": value}),
    ]
    return chance.choice(makers)()


def _change_tree(tree: Any, chance: random.Random) -> Any:
    """Return a tree with one change at a random place."""
    holder: Any = {"": copy.deepcopy(tree)}
    places = list(_places(holder))
    parent, key = chance.choice(places)
    change = chance.randrange(8)
    if change < 3 or parent is holder:
        parent[key] = odd_value(chance)
    elif change == 3:
        del parent[key]
    elif change == 4:
        parent[key] = [parent[key]]
    elif change == 5:
        parent[key] = {chance.choice(("x", "use", "", "at", "ü")): parent[key]}
    elif change == 6 and isinstance(parent, dict):
        parent[chance.choice(("x", "", "use", "name", "inner", "reads", "é", "a.b", "set"))] = (
            parent.pop(key)
        )
    elif isinstance(parent[key], list) and parent[key]:
        parent[key] = parent[key][0]
    else:
        other, name = chance.choice(places)
        parent[key] = copy.deepcopy(other[name]) if other is not holder else 5
    return holder[""]


def _places(value: Any) -> list[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, item in list(items):
        found.append((value, key))
        if isinstance(item, dict | list):
            found += _places(item)
    return found


def _change_bytes(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    junk = chance.choice(
        (
            b"\0",
            b"\xff\xfe",
            b"\xef\xbb\xbf",
            b"\xed\xa0\x80",
            b"\r",
            b"\x1b[2J",
            b"[" * 300,
            b"{" * 300,
        )
    )
    change = chance.randrange(4)
    if change == 0:
        return content[:at] + junk + content[at:]
    if change == 1:
        return content[:at]
    if change == 2:
        return content[:at] + content[at + chance.randint(1, 40) :]
    return content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :]


def _change_lines(content: bytes, chance: random.Random) -> bytes:
    lines = content.split(b"\n")
    at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    change = chance.randrange(5)
    if change == 0:
        del lines[at]
    elif change == 1:
        lines.insert(at, lines[other])
    elif change == 2:
        lines[at] = lines[at].replace(b"[[", b"[").replace(b"]]", b"]")
    elif change == 3:
        lines[at] = lines[at].replace(b"[", b"[[").replace(b"]", b"]]")
    else:
        lines[at] = lines[at].split(b"=")[0] + b"= " + inline(odd_value(chance)).encode()
    return b"\n".join(lines)
