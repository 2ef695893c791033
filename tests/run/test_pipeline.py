"""A pipeline called in Python: classes in every form, and the two ways to count them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pytest
import torch
from toy_stages import ToyColours, ToyLabels, ToySoftmax

from ovsskit.errors import BadClasses, BadImage, BadOutput, UnknownAddress
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


WORDS = "red, green, blue"
IDS = [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    "image",
    [
        PIL.Image.fromarray(COLOURS),
        (COLOURS.astype("uint16") * 16),
        COLOURS / 255,
        (COLOURS / 255).astype("float16"),
        torch.from_numpy(COLOURS),
        torch.from_numpy(COLOURS).permute(2, 0, 1) / 255,
        (torch.from_numpy(COLOURS).permute(2, 0, 1) / 255).bfloat16().requires_grad_(),
    ],
    ids=["pil", "uint16", "double", "half", "tensor", "channels-first", "bfloat16"],
)
def test_an_image_in_memory(pipeline: Pipeline, image: Any) -> None:
    result = pipeline(image, classes=WORDS)
    assert result.ids.tolist() == [IDS] * 4
    assert numpy.array_equal(result.image.pixels.numpy(), COLOURS)


def test_one_image_a_list_and_an_iterable(pipeline: Pipeline, tmp_path: Path) -> None:
    path = tmp_path / "flag.png"
    PIL.Image.fromarray(COLOURS).save(path)
    results = pipeline([path, str(path), COLOURS[:2], PIL.Image.open(path)], classes=WORDS)
    assert isinstance(results, list)
    assert [result.ids.tolist() for result in results] == [[IDS] * rows for rows in (4, 4, 2, 4)]
    assert [result.image.name for result in results] == ["flag", "flag", "image", "image"]
    assert pipeline([], classes=WORDS) == []
    read = []

    def images() -> Iterator[numpy.ndarray]:
        for number in range(7):
            read.append(number)
            yield COLOURS[: 1 + number % 4]

    pipeline.batch = 2
    coming = pipeline(images(), classes=WORDS)
    assert next(coming).image.size == (1, 6)
    assert len(read) <= 3
    assert [result.image.size[0] for result in coming] == [2, 3, 4, 1, 2, 3]


def test_each_image_of_a_list_has_its_own_trace(pipeline: Pipeline) -> None:
    first, second = pipeline([COLOURS, COLOURS[:2]], classes=WORDS, trace=True)
    assert first.at("toy_labels").ids.shape == (4, 6)
    assert second.at("toy_labels").ids.shape == (2, 6)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (numpy.zeros((4, 4, 4), "uint8"), "fourth channel"),
        (torch.zeros(4, 5, 6), "fourth channel"),
        (numpy.zeros((3, 4, 5), "uint8"), "shape 3 x 4 x 5"),
        (numpy.zeros((2, 3, 4, 5), "uint8"), "shape 2 x 3 x 4 x 5"),
        (numpy.zeros((0, 4), "uint8"), "shape 0 x 4"),
        (numpy.zeros((4, 4), "int64"), "are int64"),
        (numpy.full((4, 4), 255.0), "go from 255 to 255"),
        (numpy.full((4, 4), numpy.nan), "go from nan to nan"),
        (7, "given as int"),
    ],
)
def test_what_is_no_image(pipeline: Pipeline, image: Any, message: str) -> None:
    with pytest.raises(BadImage, match=message):
        pipeline(image, classes=WORDS)


def test_what_was_found_by_name(pipeline: Pipeline) -> None:
    result = pipeline(COLOURS, classes="red, green, blue, pink")
    result.slots["labels"].ids[:, 0] = 0
    result.slots["labels"].ids[:, 3] = 3
    assert result.area == pytest.approx(
        {"blue": 1 / 2, "background": 1 / 6, "red": 1 / 6, "green": 1 / 6}
    )
    assert next(iter(result.area)) == "blue"
    assert set(result.names) == {"blue", "red", "green"}
    best = result.scores.data.amax(0)
    assert torch.equal(result.confidence, best)


def test_a_mask_is_saved_with_its_ids_and_replaces_nothing(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    result = pipeline(COLOURS, classes={"red": 40, "green": 12, "blue": 7})
    path = tmp_path / "new" / "flag.png"
    result.save(path)
    assert numpy.asarray(PIL.Image.open(path))[0].tolist() == [40, 40, 12, 12, 7, 7]
    with pytest.raises(BadOutput, match="already exists.*\n.*force=True"):
        result.save(path)
    result.save(str(path), force=True)
    with pytest.raises(BadOutput, match="written as PNG.*\n.*flag.png"):
        result.save(tmp_path / "flag.jpg")


def test_detections_for_supervision(pipeline: Pipeline) -> None:
    pytest.importorskip("supervision")
    result = pipeline(COLOURS, classes={"red": 40, "green": 12, "blue": 7})
    result.slots["labels"].ids[:, 4:] = 0
    found = result.to_supervision()
    assert found.class_id.tolist() == [12, 40]
    assert found.data["class_name"].tolist() == ["green", "red"]
    assert found.mask.sum((1, 2)).tolist() == [8, 8]
    assert found.xyxy.astype(int).tolist() == [[2, 0, 3, 3], [0, 0, 1, 3]]
    assert found.confidence == pytest.approx([result.confidence[0, at].item() for at in (2, 0)])
    result.slots["labels"].ids[:] = 0
    assert len(result.to_supervision()) == 0
