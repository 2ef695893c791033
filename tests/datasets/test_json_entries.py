"""Every entry of every list of a JSON file is found, with its place in the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.datasets import json_entries
from ovsskit.datasets.json_entries import read_entries
from ovsskit.files.reading import Unreadable

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=5), VALUES | st.lists(VALUES, max_size=6), max_size=5)


@given(OBJECTS, st.sampled_from([None, 1]), st.booleans(), st.integers(1, 40))
def test_entries_stand_where_they_are_said_to(
    tmp_path_factory: Any, whole: dict[str, Any], indent: int | None, ascii: bool, chunk: int
) -> None:
    path = tmp_path_factory.mktemp("json") / "file.json"
    path.write_text(json.dumps(whole, indent=indent, ensure_ascii=ascii), encoding="utf-8")
    content = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_entries, "CHUNK", chunk)
        entries = list(read_entries(path))
    found = [json.loads(content[one.start : one.start + one.length]) for one in entries]
    assert found == [value for one in whole.values() if isinstance(one, list) for value in one]
    if ascii:
        assert [one.value for one in entries] == found
        assert {one.key for one in entries} == {
            key for key, one in whole.items() if isinstance(one, list) and one
        }


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, 2}',
        '{"a": [{"b": 1}',
        '{"a" [1]}',
        '{"a": [1]',
        "",
        "[1]",
        '{"a": [tru]}',
        "{1: 2}",
    ],
)
def test_what_is_not_an_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(Unreadable, match="it is not JSON, or cut off"):
        list(read_entries(path))


def test_entries_that_are_too_deep_or_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.json"
    path.write_text('{"a": [' + "[" * 100_000 + "]" * 100_000 + "]}")
    with pytest.raises(Unreadable, match="too deep"):
        list(read_entries(path))
    monkeypatch.setattr(json_entries, "MOST_BYTES", 10_000)
    monkeypatch.setattr(json_entries, "CHUNK", 1000)
    path.write_text('{"a": ["' + "x" * 100_000 + '"]}')
    with pytest.raises(Unreadable, match="an entry is larger than 0.01 MB"):
        list(read_entries(path))
