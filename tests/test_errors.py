"""Long lists of names are cut, so that a message stays short and does not change with every stage."""

from __future__ import annotations

from ovsskit.errors import BadValue, Problems, first_of, reason_of


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
