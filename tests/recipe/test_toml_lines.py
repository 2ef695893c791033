"""Every table and key of a TOML text is found on the line where it is written."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.errors import BrokenToml, Place
from ovsskit.recipe.toml_lines import Table, locate, parse

keys = st.from_regex(r"[a-z][a-z0-9_-]{0,6}", fullmatch=True) | st.sampled_from(
    ["a.b", "with blank", "ä", 'quo"te', ""]
)
scalars = (
    st.integers(-9, 9)
    | st.booleans()
    | st.text(max_size=12)
    | st.lists(st.text(max_size=4), max_size=3)
)
tables = st.recursive(
    st.dictionaries(keys, scalars, max_size=3),
    lambda inner: st.dictionaries(
        keys, scalars | inner | st.lists(inner, min_size=1, max_size=3), max_size=4
    ),
    max_leaves=12,
)


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        return [
            p for key, item in value.items() for p in [(*path, key), *paths(item, (*path, key))]
        ]
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return [p for index, item in enumerate(value) for p in paths(item, (*path, index))]
    return []


@given(tables)
def test_every_path_has_a_line_that_names_it(content: dict[str, Any]) -> None:
    text = tomlkit.dumps(content)
    lines = locate(text)
    written = text.split("\n")
    for path in paths(tomllib.loads(text)):
        if path in lines and isinstance(path[-1], str):
            key = path[-1]
            assert (
                key in written[lines[path] - 1]
                or repr(key)[1:-1].replace('"', '\\"') in written[lines[path] - 1]
            )
        assert any(path[:n] in lines for n in range(1, len(path) + 1))


def test_lines_of_every_way_to_write_a_table() -> None:
    text = '''# comment
name = "x"   # [not.a.table]
long = """
[[stage]]
key = 1
"""
list = [
  1, # a = 2
  2,
]
a.b.c = 1

[backbone]
"quoted key" = 'x'
[[stage]]
use = "one"
  [[stage.inner]]
  use = "two"
  [[stage.inner]]
  options = { at = 1 }
[[stage]]
use = "three"
'''
    lines = locate(text)
    assert lines["name",] == 2
    assert lines["list",] == 7
    assert lines["a", "b", "c"] == 11
    assert lines["backbone", "quoted key"] == 14
    assert lines["stage", 0, "inner", 0, "use"] == 18
    assert lines["stage", 0, "inner", 1] == 19
    assert lines["stage", 1, "use"] == 22
    table = parse(text, "x.toml")
    assert table["stage"][0]["inner"][1]["options"].place_of("at") == Place("x.toml", 20)
    assert isinstance(table["stage"][1], Table)


def test_syntax_errors_have_lines() -> None:
    with pytest.raises(BrokenToml) as caught:
        parse("a = 1\nb = = 2\n", "x.toml")
    assert caught.value.where == Place("x.toml", 2)
