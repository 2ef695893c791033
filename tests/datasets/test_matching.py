"""Classes of recipes find those of data sets: by order, by words, and through coarser ones."""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.datasets.dataset import Facts
from ovsskit.datasets.matching import NONE, is_of, match_classes, plain
from ovsskit.errors import BadClasses
from ovsskit.recipe.vocabulary import make_vocabulary

RED = (255, 0, 0)
VOC = Facts("voc", "VOC", ("background", "boat", "pottedplant", "dog"), (RED,) * 4, background=0)
STUFF = Facts("stuff", "Stuff", ("boat", "dog", "sky-other"), (RED,) * 3)
COARSE = Facts(
    "coarse",
    "Coarse",
    ("vehicle", "animal", "sky"),
    (RED,) * 3,
    coarse_of="stuff",
    coarse=(0, 1, 2),
)


def test_classes_of_a_recipe_for_the_data_set_match_by_order_whatever_they_are_called() -> None:
    words = make_vocabulary(["ship", "plant in a pot", "dog"])
    found = match_classes(words, VOC, VOC)
    assert found.numbers == {0: 0, 1: 1, 2: 2, 3: 3}
    assert (found.missed, found.others) == ((), ())


def test_other_classes_match_by_any_of_their_words() -> None:
    words = make_vocabulary(["hound, Dog", "tree", "potted plant"], ids=(7, 5, 2))
    found = match_classes(words, VOC)
    assert found.numbers == {0: 0, 7: 3, 2: 2}
    assert (found.missed, found.others) == (("boat",), ("tree",))


def test_what_no_class_stands_for_is_none_of_the_data_set_even_beyond_the_ids() -> None:
    found = match_classes(make_vocabulary(["dog", "tree"], ids=(7, 5)), STUFF)
    ids = numpy.array([[0, 7, 5, 6, 200]])
    assert found.translate(ids).tolist() == [[NONE, 1, NONE, NONE, NONE]]


def test_fine_classes_match_the_coarse_ones_that_they_belong_to() -> None:
    words = make_vocabulary(["ship", "dog", "heaven"])
    assert match_classes(words, COARSE, STUFF).numbers == {1: 0, 2: 1, 3: 2}


def test_words_that_a_data_sets_own_lists_use_are_known() -> None:
    facts = Facts("ade", "ADE", ("sofa",), (RED,), own_words={"sofa": ("couch", "lounge")})
    assert match_classes(make_vocabulary(["couch"]), facts).numbers == {1: 0}


def test_classes_of_which_none_is_the_data_sets_are_refused() -> None:
    with pytest.raises(BadClasses) as error:
        match_classes(make_vocabulary(["tree", "grass"]), VOC)
    assert str(error.value).splitlines()[1:] == [
        "  None of the classes looked for is one of VOC.",
        "  It has: background, boat, pottedplant, dog. Looked for: tree, grass.",
        "  To look for those of the data set, name no classes.",
    ]


@pytest.mark.parametrize(
    ("own", "facts", "expected"),
    [(VOC, VOC, True), (VOC, STUFF, False), (STUFF, COARSE, True), (COARSE, STUFF, False)],
)
def test_which_data_sets_classes_stand_for_all_of_another(
    own: Facts, facts: Facts, expected: bool
) -> None:
    assert is_of(own, facts) is expected


@given(st.lists(st.text("ab -_", min_size=1), min_size=2, max_size=2))
def test_words_are_compared_without_case_blanks_and_hyphens(words: list[str]) -> None:
    first, second = words
    letters = [one.replace(" ", "").replace("-", "").replace("_", "") for one in words]
    assert (plain(first.upper()) == plain(second)) == (letters[0] == letters[1])
