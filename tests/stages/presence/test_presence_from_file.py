from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from ovsskit.errors import BadFile
from ovsskit.stages.presence.presence_from_file import PresenceFromFile, read_answer
from ovsskit.values import Image
from ovsskit.vocabulary import make_vocabulary

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
        ({"b": ["dog"]}, "says nothing on the picture `a`"),
        ({"a": 3}, "no known form"),
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
