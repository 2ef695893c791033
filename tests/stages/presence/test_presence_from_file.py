from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ovsskit.engine.values import Image, Present
from ovsskit.errors import BadFile
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.presence.presence_from_file import PresenceFromFile, read_answer

WORDS = make_vocabulary(["dog", "ice cream", "grass"], ids=[5, 7, 300])


def read(folder: Path, content: Any, name: str = "a", **fields: Any) -> tuple[int, ...]:
    (folder / "present.json").write_text(
        content if isinstance(content, str) else json.dumps(content)
    )
    stage = PresenceFromFile(file=str(folder / "present.json"), **fields)
    return stage.run(Image(torch.zeros(3, 2, 2), name), WORDS).labels


def test_names_and_answers(tmp_path: Path) -> None:
    assert read(tmp_path, {"a": ["Grass", "dog"]}) == (3, 1)
    assert read(tmp_path, {"a": "[300: x, 5: y, 9: z], [71%, 70%, 99%]"}) == (3,)
    assert read(tmp_path, {"a": "[300: x, 5: y], [71, 60]"}, above=50.0) == (3, 1)


def test_the_extension_does_not_matter(tmp_path: Path) -> None:
    assert read(tmp_path, {"a": ["dog"]}, "folder/a.jpg") == (1,)


def test_nothing_left_means_the_fallback(tmp_path: Path) -> None:
    assert read(tmp_path, {"a": ""}) == (1,)
    assert read(tmp_path, {"a": []}, fallback="ice cream") == (2,)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("{", "cannot be read"),
        ("[]", "no JSON object"),
        ({"b": ["dog"]}, "has no entry for the image `a`"),
        ({"a": 3}, "no known form"),
        ({"a": [5]}, "no known form"),
        ({"x/a.jpg": ["dog"], "y/a.jpg": ["dog"]}, "Several entries fit the image `a`"),
        ({"A.jpg": ["dog"], "a.png": ["dog"], "a.PNG": ["dog"]}, "Several entries fit"),
        ({"a": ["dgo"]}, "`dgo` is not among"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: Any, what: str) -> None:
    with pytest.raises(BadFile, match=what) as caught:
        read(tmp_path, content)
    assert "present.json" in str(caught.value)


def test_a_file_is_needed(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="No file says"):
        PresenceFromFile().run(Image(torch.zeros(3, 2, 2), "a"), WORDS)
    with pytest.raises(BadFile, match="cannot be read"):
        PresenceFromFile(file=str(tmp_path / "none.json")).run(
            Image(torch.zeros(3, 2, 2), "a"), WORDS
        )


@pytest.mark.parametrize(
    ("answer", "ids"),
    [
        ("[3: a, 4: b]", [3, 4]),
        ("[3: a, ?: b, 4: c], [90, 90, 95]", [3, 4]),
        ("[3: a], [90, 95]", [3]),
        ("[3: a, 4: b],\n\n[a: 90%, b: unsure]", [3]),
        ("nothing", []),
    ],
)
def test_answers_are_read_leniently(answer: str, ids: list[int]) -> None:
    assert read_answer(answer, 70.0) == ids


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("a.jpg", "a"),
        ("A.JPG", "a"),
        ("photos/a.png", "a"),
        ("photos\\\\a.png", "a"),
        ("a.b", "a.b"),
        ("a.b.jpg", "a.b"),
        ("IMG_1", "img_1"),
    ],
)
def test_an_entry_may_differ_in_folder_extension_and_capitals(
    tmp_path: Path, key: str, name: str
) -> None:
    assert read(tmp_path, {key: ["grass"], "other": ["dog"]}, name) == (3,)


def test_an_entry_of_another_image_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"has no entry for the image `a\.b`"):
        read(tmp_path, {"a": ["dog"]}, "a.b")


def test_names_in_a_string_are_names(tmp_path: Path) -> None:
    assert read(tmp_path, {"a": "grass"}) == (3,)
    assert read(tmp_path, {"a": "Ice  Cream, dog"}) == (2, 1)


def found(folder: Path, content: Any, **fields: Any) -> Present:
    (folder / "present.json").write_text(json.dumps(content))
    stage = PresenceFromFile(file=str(folder / "present.json"), **fields)
    return stage.run(Image(torch.zeros(3, 2, 2), "a"), WORDS)


@pytest.mark.parametrize("value", ["", [], "I see a dog.", "[9: zebra], [90%]", "[5: dog], [70%]"])
def test_where_nothing_is_left_it_is_said_what_is_taken(tmp_path: Path, value: Any) -> None:
    taken = found(tmp_path, {"a": value})
    assert taken.labels == (1,)
    assert taken.note.endswith("names none for this image: `dog` is taken")
    none = found(tmp_path, {"a": value}, none=True)
    assert none.labels == ()
    assert none.note.endswith("names none for this image")
    named = found(tmp_path, {"a": "[5: dog], [71%]"}, none=True)
    assert (named.labels, named.note) == ((1,), "")


def test_before_a_run_the_file_is_compared_with_images_and_classes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = {"a": ["dog"], "b.jpg": "grass", "c": ["zebra"], "d": ["dog"]}
    (tmp_path / "present.json").write_text(json.dumps(content))
    stage = PresenceFromFile(file=str(tmp_path / "present.json"))
    stage.check_inputs(WORDS, [Path("x/a.png"), Path("b.png"), Path("y/a.png"), Path("e.png")])
    assert "the entry `a` is taken for x/a.png and y/a.png" in caplog.text
    assert "1 of 4 images have no entry and will fail, such as e.png" in caplog.text
    assert "2 of 4 entries belong to no image here, such as `c`" in caplog.text
    with pytest.raises(BadFile, match="`zebra` is not among those"):
        stage.check_inputs(WORDS, [Path("a.png"), Path("c.png")])
    with pytest.raises(BadFile, match="has no entry for the image `f`"):
        stage.check_inputs(WORDS, [Path("f.png"), Path("g.png")])
    with pytest.raises(BadFile, match="cannot be read"):
        PresenceFromFile(file=str(tmp_path / "none.json")).check_inputs(WORDS, [Path("a.png")])
