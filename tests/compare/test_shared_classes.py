from __future__ import annotations

from dataclasses import replace

import numpy

from ovsskit.compare.shared_classes import match_classes
from ovsskit.recipe.vocabulary import make_vocabulary


def test_classes_are_matched_by_name_whatever_their_numbers_and_capitals() -> None:
    first = make_vocabulary({"dog": 3, "cat": 1})
    second = make_vocabulary(["Cat", "tree", "DOG"])
    found = match_classes(first, second)
    assert found.names == ("background", "dog", "cat", "tree")
    assert found.only == ((), ("tree",))
    ours, theirs = found.places
    assert [found.names[place] for place in ours[[0, 3, 1]]] == ["background", "dog", "cat"]
    assert [found.names[place] for place in theirs[[0, 1, 2, 3]]] == [
        "background",
        "cat",
        "tree",
        "dog",
    ]


def test_backgrounds_of_other_names_are_other_classes_and_neither_is_tinted() -> None:
    first = make_vocabulary(["dog"])
    second = make_vocabulary(["dog"], background="others")
    found = match_classes(first, second)
    assert found.names == ("background", "dog", "others")
    assert found.backgrounds == (0, 2)
    assert found.only == (("background",), ("others",))


def test_every_class_has_a_colour_of_its_own_and_the_first_run_keeps_its_colours() -> None:
    first, second = make_vocabulary(["a", "b"]), make_vocabulary(["c", "d"])
    found = match_classes(first, second)
    assert found.colours[:3] == first.colours
    assert len({*found.colours}) == len(found.names) == 5


def test_a_name_of_the_first_run_keeps_its_place_where_numbers_have_gaps() -> None:
    first = make_vocabulary({"dog": 200})
    found = match_classes(first, replace(first))
    numpy.testing.assert_array_equal(found.places[0][[0, 200]], [0, 1])
    assert found.only == ((), ())
