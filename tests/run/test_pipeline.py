"""A pipeline called in Python: classes in every form, and the two ways to count them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy
import pytest
import torch
from toy_stages import ToyColours, ToyLabels, ToySoftmax

from ovsskit.errors import BadClasses, UnknownAddress
from ovsskit.recipe.vocabulary import no_classes
from ovsskit.run.pipeline import Pipeline

COLOURS = numpy.zeros((4, 6, 3), numpy.uint8)
COLOURS[:, :2, 0] = COLOURS[:, 2:4, 1] = COLOURS[:, 4:, 2] = 255


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline.of([ToyColours(), ToySoftmax(), ToyLabels()], device="cpu")


@pytest.mark.parametrize(
    "classes", ["red, green, blue", ["red", "green", "blue"], {"red": 1, "green": 2, "blue": 3}]
)
def test_classes_may_be_a_string_a_list_or_a_mapping(pipeline: Pipeline, classes: Any) -> None:
    result = pipeline(COLOURS, classes=classes)
    assert result.vocabulary.names == ("red", "green", "blue")
    assert result.ids[0].tolist() == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    "classes", [{"red": 40, "green": 12, "blue": 7}, {40: "red", 12: "green", 7: "blue"}]
)
def test_a_mapping_keeps_its_ids_and_places_count_the_names(
    pipeline: Pipeline, classes: Any
) -> None:
    result = pipeline(COLOURS, classes=classes)
    assert result.ids[0].tolist() == [40, 40, 12, 12, 7, 7]
    assert result.labels[0].tolist() == [1, 1, 2, 2, 3, 3]
    named = [result.vocabulary.labels[place] for place in result.labels[0].tolist()]
    assert named == ["red", "red", "green", "green", "blue", "blue"]
    assert result.overlay().size[0] >= 6


def test_the_place_of_the_background_is_0(pipeline: Pipeline) -> None:
    result = pipeline(COLOURS, classes={"red": 9})
    result.slots["labels"].ids[0, 0] = 0
    assert torch.equal(result.labels[0, :2], torch.tensor([0, 1]))


def test_a_result_prints_the_image_and_what_was_found(pipeline: Pipeline) -> None:
    result = pipeline(COLOURS, classes="red, green, blue")
    result.slots["labels"].ids[:, 0] = 3
    assert repr(replace(result, image=replace(result.image, name="flag"))) == (
        "<Result of flag, 6 x 4 pixels: blue 50 %, green 33 %, red 17 %>"
    )
    bare = {name: value for name, value in result.slots.items() if name != "labels"}
    assert repr(replace(result, slots=bare)) == "<Result of image, 6 x 4 pixels: no labels>"


def test_a_result_of_many_classes_prints_the_largest(pipeline: Pipeline) -> None:
    result = pipeline(COLOURS, classes=[f"thing {index}" for index in range(1, 21)])
    result.slots["labels"].ids.flatten()[:] = torch.tensor([1, 1, 2, 2, *range(1, 21)])
    assert repr(result).startswith("<Result of image, 6 x 4 pixels: thing 1 12 %, thing 2 12 %, ")
    assert repr(result).endswith(" and 8 more>")


def test_of_many_stages_that_wrote_the_first_are_listed(pipeline: Pipeline) -> None:
    result = pipeline(COLOURS, classes="red, green")
    many = replace(result, trace={f"stage_{n}": [] for n in range(20)})
    with pytest.raises(UnknownAddress) as caught:
        many.at("stage_x")
    assert caught.value.there.endswith("stage_11 and others (`result.trace` lists all)")
    with pytest.raises(UnknownAddress, match="Nothing was kept"):
        result.at("toy_labels")


@pytest.mark.parametrize("classes", [None, [], {}, ["background"], "background"])
def test_no_classes_are_refused_as_an_argument(pipeline: Pipeline, classes: Any) -> None:
    with pytest.raises(BadClasses, match="No classes are given|no class to look for") as caught:
        pipeline(COLOURS, classes=classes)
    assert "--" not in caught.value.fix
    if not classes:
        assert caught.value.fix == 'Call it with classes=["dog", "cat"].'


def test_a_string_is_refused_where_the_command_line_refuses_it(pipeline: Pipeline) -> None:
    with pytest.raises(BadClasses, match="the name of a file"):
        pipeline(COLOURS, classes="classes.txt")


def test_words_of_the_background_may_be_a_string() -> None:
    words = no_classes(background_words="sky, red")
    pipeline = Pipeline.of([ToyColours(), ToySoftmax(), ToyLabels()], {}, words, device="cpu")
    assert pipeline(COLOURS, classes="red, green").vocabulary.background_words == ("sky",)
    assert pipeline(COLOURS, classes="green").vocabulary.background_words == ("sky", "red")
