from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ovsskit.files.image_names import name_images
from ovsskit.files.names import NestedName


def names(*paths: str, known: dict[str, str] | None = None, roots: tuple[str, ...] = ()) -> object:
    known = known or {}
    tops = [Path(one) for one in roots]
    return name_images([Path(one) for one in paths], known.get, known.values(), tops)


def test_names_mirror_the_tree_below_the_outermost_root() -> None:
    assert names("/p/a/x.jpg", "/p/a/b/y.png", "/p/z.tif", roots=("/p",)) == ["a/x", "a/b/y", "z"]
    assert names("/p/a/b/x.jpg", roots=("/p/a/b", "/p/a")) == ["b/x"]
    assert names("/p/a/../b/x.jpg", roots=("/p/c/..",)) == ["b/x"]
    assert names("/p/a/x.jpg") == ["x"]


def test_equal_names_get_their_folder_and_then_their_ending() -> None:
    assert names("/a/x.jpg", "/b/x.jpg", "/c/y.jpg") == ["a/x", "b/x", "y"]
    assert names("/a/x.jpg", "/a/X.png", "/b/x.jpg") == ["a/x_jpg", "a/X_png", "b/x"]
    assert names("/p/a/x.jpg", "/q/a/x.jpg", roots=("/p", "/q")) == ["p/a/x", "q/a/x"]


def test_names_given_before_are_kept() -> None:
    known = {str(Path("/a/x.jpg").absolute()): "x"}
    assert names("/b/x.jpg", "/a/x.jpg", known=known) == ["b/x", "x"]
    assert names("/b/x.jpg", known=known) == ["b/x"]


def test_at_last_a_digest_tells_paths_apart() -> None:
    first, second = name_images([Path("/p/a/x.jpg"), Path("/q/a/x.jpg")], {}.get, ())
    assert first != second
    assert re.fullmatch("a/x_[0-9a-f]{16}", first)


def test_names_suit_every_file_system() -> None:
    odd = os.fsdecode(b"/p/con/\xff:?.jpg")
    long = "/p/" + "\u00e4" * 120 + ".jpg"
    assert names(odd, long, roots=("/p",)) == ["_con/___", "\u00e4" * 90]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "a/b", "A", "b/a"]),
            st.text("xyX_2/", min_size=1, max_size=3).filter(lambda text: text.strip("/")),
            st.sampled_from(["jpg", "png", "JPG"]),
        ),
        unique=True,
    ),
    st.lists(st.sampled_from(["/", "/a", "/b", "/a/b"])),
    st.randoms(use_true_random=False),
)
def test_names_are_distinct_in_any_case_and_in_any_order(
    parts: list[tuple[str, str, str]], roots: list[str], order: random.Random
) -> None:
    paths = sorted({f"/{folder}/{stem.strip('/')}.{ending}" for folder, stem, ending in parts})
    found = dict(zip(paths, names(*paths, roots=tuple(roots)), strict=True))  # type: ignore[call-overload]
    assert len({name.casefold() for name in found.values()}) == len(paths)
    for name in found.values():
        TypeAdapter(NestedName).validate_python(name)
    order.shuffle(paths)
    order.shuffle(roots)
    again = names(*paths, roots=tuple(roots))
    assert found == dict(zip(paths, again, strict=True))  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ["", "a//b", "/a", "a/", "../a", "a/..", "a/./b", "a\\b", "con/a"])
def test_what_is_no_nested_name(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(NestedName).validate_python(name)
