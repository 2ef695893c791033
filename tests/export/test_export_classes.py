from __future__ import annotations

import numpy
import pytest

from ovsskit.errors import BadClasses
from ovsskit.export.classes import choose_exported
from ovsskit.recipe.vocabulary import make_vocabulary


def test_classes_of_one_name_are_told_apart_and_chosen_together() -> None:
    vocabulary = make_vocabulary(["dog", "cat", "dog"], [4, 5, 9])
    found = choose_exported(vocabulary, None)
    assert [one.name for one in found.classes] == ["dog 4", "cat", "dog 9"]
    assert [one.number for one in choose_exported(vocabulary, ["DOG"]).classes] == [4, 9]
    assert found.vocabulary.ids == vocabulary.ids


def test_colours_differ_and_none_is_the_background_s() -> None:
    vocabulary = make_vocabulary([f"class {number}" for number in range(1000)])
    colours = [one.colour for one in choose_exported(vocabulary, None).all]
    assert len(set(colours)) == 1001


def test_masks_hold_what_is_exported_by_number_or_by_place() -> None:
    found = choose_exported(make_vocabulary(["dog", "cat", "cow"], [4, 65535, 9]), ["cow", "cat"])
    mask = numpy.array([[0, 4, 65535, 9]])
    assert found.keep(mask).tolist() == [[0, 0, 65535, 9]]
    assert found.places(mask).tolist() == [[0, 0, 1, 2]]


def test_a_class_that_was_not_looked_for_is_refused() -> None:
    with pytest.raises(BadClasses, match="The run did not look for `cow`") as caught:
        choose_exported(make_vocabulary(["dog", "cat"]), ["cow"])
    assert caught.value.there == "It looked for: dog, cat"
