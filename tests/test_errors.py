"""Lists of names are cut, reasons are one line, and problems are collected where somebody asks."""

from __future__ import annotations

import pytest

from ovsskit.errors import (
    BadValue,
    Problems,
    all_at_once,
    collecting,
    first_of,
    reason_of,
    report,
)


def test_a_short_list_is_whole() -> None:
    assert first_of(["a", "b"], most=2) == "a, b"
    assert first_of([]) == "none"


def test_a_long_list_says_how_many_more_there_are_or_what_lists_them() -> None:
    assert first_of(["a", "b", "c"], most=2) == "a, b and 1 more"
    assert first_of(["a", "b", "c"], "ovsskit stages", most=2) == (
        "a, b and others (`ovsskit stages` lists all)"
    )


def test_a_reason_is_one_line() -> None:
    one = BadValue("It is 2.", fix="Give 1.")
    assert reason_of(one) == "It is 2. Give 1."
    assert reason_of(Problems([one, BadValue("It is 3.")])) == "It is 2. Give 1. It is 3."
    assert reason_of(ValueError("no\nmore")) == "ValueError: no"


def test_problems_are_raised_all_at_once() -> None:
    with pytest.raises(Problems) as caught, all_at_once():
        report(BadValue("It is 2."), BadValue("It is 3."))
    assert [one.what for one in caught.value.problems] == ["It is 2.", "It is 3."]


def test_problems_that_nobody_collects_are_raised_where_they_are() -> None:
    report()
    with pytest.raises(Problems, match="It is 2"):
        report(BadValue("It is 2."))


def test_the_innermost_collects_and_an_error_ends_collecting() -> None:
    with collecting() as outer:
        with pytest.raises(ZeroDivisionError), all_at_once():
            report(BadValue("It is 2."), BadValue(f"It is {1 / 0}."))
        report(BadValue("It is 3."))
    assert [one.what for one in outer] == ["It is 3."]
