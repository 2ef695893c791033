"""Lines of words become classes, synonyms and words of the background."""

from __future__ import annotations

import string
from copy import copy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.engine.values import NEGATIVE, Vocabulary
from ovsskit.errors import BadClasses, Problems
from ovsskit.files.inputs import find_images
from ovsskit.files.shipped import recipe_folder
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.methods import shipped_methods
from ovsskit.recipe.vocabulary import (
    VocabularyTable,
    describe_words,
    list_classes,
    make_vocabulary,
    replace_classes,
    split_classes,
)
from ovsskit.run.samples import sample_images

WORDS = st.lists(
    st.text(string.ascii_lowercase, min_size=1, max_size=8), min_size=2, max_size=12, unique=True
)


def table(folder: Path, text: str, **fields: Any) -> VocabularyTable:
    (folder / "classes.txt").write_text(text, encoding="utf-8")
    return VocabularyTable(file=str(folder / "classes.txt"), **fields)


def made(table: VocabularyTable) -> Vocabulary:
    vocabulary = table.make()
    return vocabulary


def test_a_line_is_a_name_and_its_synonyms(tmp_path: Path) -> None:
    vocabulary = made(table(tmp_path, "cat, young  cat ,tabby\n\ndog\n"))
    assert vocabulary.names == ("cat", "dog")
    assert vocabulary.ids == (0, 1, 2)
    assert vocabulary.synonyms == (("young cat", "tabby"), ())
    assert vocabulary.background_words == ()
    assert vocabulary.queries == ((1, "cat"), (1, "young cat"), (1, "tabby"), (2, "dog"))


def test_the_first_line_may_hold_the_words_of_the_background(tmp_path: Path) -> None:
    vocabulary = made(table(tmp_path, "sky, wall\ncat\ndog, hound", first_is_background=True))
    assert vocabulary.names == ("cat", "dog")
    assert vocabulary.queries == ((0, "sky"), (0, "wall"), (1, "cat"), (2, "dog"), (2, "hound"))


def test_a_line_of_the_backgrounds_own_name_is_no_class_wherever_it_stands(tmp_path: Path) -> None:
    vocabulary = made(table(tmp_path, "cat\nBackground, sky\ndog"))
    assert (vocabulary.names, vocabulary.ids, vocabulary.background_words) == (
        ("cat", "dog"),
        (0, 1, 2),
        ("sky",),
    )


def test_synonyms_and_words_of_the_background_may_stand_apart() -> None:
    names = VocabularyTable(
        names=("cat, tabby", "dog"),
        synonyms={"cat": ("kitten",), "dog": ("hound",)},
        background_words=("sky",),
        ids=(7, 4),
    )
    vocabulary = made(names)
    assert vocabulary.ids == (0, 7, 4)
    assert vocabulary.synonyms == (("tabby", "kitten"), ("hound",))
    assert vocabulary.background_words == ("sky",)


def test_a_word_of_the_background_may_be_a_class_too_as_in_the_published_lists() -> None:
    assert make_vocabulary(["bed", "cat"], background_words=["bed"]).queries[:2] == (
        (0, "bed"),
        (1, "bed"),
    )


def test_without_synonyms_every_class_is_one_query() -> None:
    vocabulary = make_vocabulary(["cat", "dog"])
    assert vocabulary.synonyms == ()
    assert vocabulary.queries == ((1, "cat"), (2, "dog"))


def test_other_classes_keep_the_background_but_for_what_is_a_class_now(tmp_path: Path) -> None:
    own = table(tmp_path, "sky, wall\ncat", first_is_background=True, background="rest").make()
    vocabulary = replace_classes(["Sky", "dog, hound"], own)
    assert (vocabulary.names, vocabulary.background, vocabulary.background_words) == (
        ("Sky", "dog"),
        "rest",
        ("wall",),
    )


@pytest.mark.parametrize(
    ("names", "fields", "what"),
    [
        (["cat, dog", "dog"], {}, "Named more than once: dog"),
        (["cat, Cat"], {}, "Named more than once: cat"),
        (["cat"], {"background_words": ["sky", "SKY"]}, "Named more than once: sky"),
        (["cat, "], {}, "empty name"),
        (["cat"], {"background_words": [""]}, "empty name"),
        (["cat"], {"negatives": [""]}, "empty name"),
        (["cat"], {"negatives": ["sea", "Sea"]}, "more than once among the negatives: sea"),
        (["cat"], {"synonyms": {"cat": [" "]}}, "empty name"),
        (["cat"], {"synonyms": {"dog": ["hound"]}}, "synonyms for `dog`"),
        (["sky"], {"first_is_background": True}, "no class to look for"),
        (["sky", "cat"], {"first_is_background": True, "ids": [1, 2]}, "2 ids for 1 names"),
    ],
)
def test_bad_words_are_refused(names: list[str], fields: dict[str, Any], what: str) -> None:
    with pytest.raises(BadClasses, match=what):
        make_vocabulary(names, **fields)


def test_negatives_compete_and_name_no_class() -> None:
    own = VocabularyTable(names=("cat",), negatives=("sea", "dog")).make()
    assert (own.negatives, own.queries) == (("sea", "dog"), ((1, "cat"),))
    assert [own.name_of(label) for label in (NEGATIVE, 0, 1)] == ["negative", "background", "cat"]
    other = replace_classes("Dog, cow", own)
    assert (other.names, other.negatives) == (("Dog", "cow"), ("sea",))
    open_ended = VocabularyTable(negatives=("sea",)).make()
    assert (open_ended.names, open_ended.negatives) == ((), ("sea",))
    assert describe_words(other)["negatives"] == ["sea"]


def test_ids_tell_classes_of_one_name_apart() -> None:
    assert make_vocabulary(["screen", "screen, tv"], ids=[59, 131]).names == ("screen", "screen")


def test_a_bad_line_of_a_file_is_named(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('[vocabulary]\nfile = "classes.txt"\n[[stage]]\nuse = "all_classes"\n')
    (tmp_path / "classes.txt").write_text("dog\n\ncat,, kitten\n")
    with pytest.raises(Problems, match="empty name") as caught:
        load_recipe(recipe)
    [problem] = caught.value.problems
    assert str(problem.where) == f"{tmp_path / 'classes.txt'}:3"


@given(lines=st.lists(WORDS, min_size=1, max_size=5))
def test_every_word_of_every_line_is_one_query_in_order(lines: list[list[str]]) -> None:
    names = [", ".join(f"{word}{index}" for word in words) for index, words in enumerate(lines)]
    vocabulary = make_vocabulary(names)
    assert [word for _, word in vocabulary.queries] == [
        word for name in names for word in split_classes(name)
    ]
    assert sorted({label for label, _ in vocabulary.queries}) == list(range(1, len(lines) + 1))


def test_what_is_set_replaces_the_classes_of_a_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[vocabulary]\nnames = ["cat"]\nids = [9]\nsynonyms.cat = ["tabby"]\n[[stage]]\n'
        'use = "all_classes"\n'
    )
    assert len(made(load_recipe(mine, ["vocabulary.preset=voc20"]).vocabulary).names) == 20
    sets = ["vocabulary.ids=[4, 5]", 'vocabulary.names=["dog", "cow"]']
    assert made(load_recipe(mine, sets).vocabulary).ids == (0, 4, 5)
    with pytest.raises(Problems, match="named in 2 ways"):
        load_recipe(mine, [*sets, "vocabulary.preset=voc20"])


def test_a_variant_that_names_classes_starts_afresh(tmp_path: Path) -> None:
    base, mine = tmp_path / "base.toml", tmp_path / "mine.toml"
    base.write_text(
        '[vocabulary]\nnames = ["cat"]\nids = [9]\nsynonyms.cat = ["tabby"]\n[[stage]]\n'
        'use = "all_classes"\n'
    )
    mine.write_text('extends = "base.toml"\n[vocabulary]\nnames = ["dog"]\n')
    assert made(load_recipe(mine).vocabulary).ids == (0, 1)
    mine.write_text('extends = "base.toml"\n[vocabulary]\nbackground = "rest"\n')
    vocabulary = made(load_recipe(mine).vocabulary)
    assert (vocabulary.ids, vocabulary.background, vocabulary.synonyms) == (
        (0, 9),
        "rest",
        (("tabby",),),
    )


CLASSES = {
    "voc21": 20, "voc20": 20, "context60": 59, "context59": 59, "coco_object": 80,
    "coco_stuff": 171, "coco_stuff171": 171, "coco_unseen15": 15, "ade20k": 150, "ade150": 150,
    "cityscapes": 19,
}  # fmt: skip


@cache
def presets() -> dict[str, Vocabulary]:
    """Return the classes of every shipped list as a shipped recipe reads them."""
    recipes = [recipe for method in shipped_methods() for recipe in method.recipes]
    return {one.vocabulary.preset: one.plan.vocabulary for one in recipes if one.vocabulary.preset}


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (recipe_folder() / "vocabularies").glob("*.txt"))
)
def test_shipped_lists_have_the_classes_of_their_data_set(name: str) -> None:
    official = max((one for one in CLASSES if name.endswith(one)), key=len, default="")
    begins = official in ("voc21", "context60", "coco_object")
    plain = VocabularyTable(preset=name, first_is_background=begins)
    vocabulary = presets().get(name) or made(plain)  # some are there for people's own recipes
    classes = len(vocabulary.names)
    assert classes == CLASSES.get(official, classes) == max(vocabulary.ids)


@pytest.mark.parametrize(
    "classes",
    [
        "dog,  ice cream",
        "dog; ice cream",
        ["dog", "ice cream"],
        ("dog", "ice cream"),
        iter(["dog", "ice cream"]),
        {"dog": 1, "ice cream": 2},
        {1: "dog", 2: "ice cream"},
        {0: "background", 1: "dog", 2: "ice cream"},
    ],
)
def test_classes_of_every_form_are_the_same(classes: Any) -> None:
    for vocabulary in (
        make_vocabulary(copy(classes)),
        replace_classes(classes, VocabularyTable(names=("cat",)).make()),
    ):
        assert vocabulary.names == ("dog", "ice cream")
        assert vocabulary.ids == (0, 1, 2)


@pytest.mark.parametrize(
    "classes",
    [{"cat, kitten": 40, "dog": 12}, {40: "cat, kitten", 12: "dog"}],
)
def test_a_mapping_keeps_its_ids(classes: Any) -> None:
    vocabulary = make_vocabulary(classes)
    assert vocabulary.names == ("cat", "dog")
    assert vocabulary.ids == (0, 40, 12)
    assert vocabulary.synonyms == (("kitten",), ())


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("classes.txt", "the name of a file"),
        ("voc21", "a shipped list"),
        ("dog, cat; cow", "commas and semicolons"),
        ({"dog", "cat"}, "a set, which has no order"),
        (["dog", 3], "A class is 3"),
        (b"dog", "A class is 100"),
        ({"dog": "cat"}, "holds 'dog' and 'cat'"),
        ({"dog": 1, 2: "cat"}, "holds 2 and 'cat'"),
        ({1: 2}, "holds 2 and 1"),
        ({"dog": True}, "holds 'dog' and True"),
        ({"dog": 1.0}, "holds 'dog' and 1.0"),
    ],
)
def test_classes_that_leave_a_doubt_are_refused(classes: Any, message: str) -> None:
    with pytest.raises(BadClasses, match=message):
        list_classes(classes, "background")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("", "empty name"),
        ({}, "no class to look for"),
        ({"dog": 0}, "the id 0"),
        ({"dog": 3, "cat": 3}, "given to more than one"),
        ({"dog": 70000}, "up to 65535"),
    ],
)
def test_ids_and_names_of_every_form_are_checked(classes: Any, message: str) -> None:
    with pytest.raises(BadClasses, match=message):
        make_vocabulary(classes)


def test_ids_are_not_given_twice() -> None:
    with pytest.raises(BadClasses, match="given twice"):
        make_vocabulary({"dog": 3}, (4,))


def test_a_string_of_words_is_not_taken_for_its_letters() -> None:
    vocabulary = make_vocabulary(
        "cat", synonyms={"cat": "kitten, tabby"}, background_words="sky, sea"
    )
    assert vocabulary.synonyms == (("kitten", "tabby"),)
    assert vocabulary.background_words == ("sky", "sea")
    assert find_images(str(sample_images()[0])) == [sample_images()[0]]
    assert load_recipe("quickstart", "threshold.at=0.25").plan.stages
