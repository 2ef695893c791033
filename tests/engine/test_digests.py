"""Digests follow the content, are taken once, and name what is cut out of an image by its place."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.engine import digests
from ovsskit.engine.digests import Digests, digest_tensor
from ovsskit.engine.values import Captions, Image, Present, Scores, Vocabulary
from ovsskit.testing import example


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """Return the shapes of the tensors whose content is hashed."""
    shapes: list[torch.Size] = []

    def hash_and_note(tensor: torch.Tensor) -> str:
        shapes.append(tensor.shape)
        return digest_tensor(tensor)

    monkeypatch.setattr(digests, "digest_tensor", hash_and_note)
    return shapes


def test_a_tensor_is_hashed_once(hashed: list[torch.Size]) -> None:
    image, known = example(Image), Digests()
    assert (
        known.of(image)
        == known.of(image)
        == known.of(image.to("cpu"))
        == Digests().of(Image(image.data.clone(), image.name))
    )
    assert len(hashed) == 2


def test_what_is_cut_out_is_not_hashed(hashed: list[torch.Size]) -> None:
    image, known = example(Image), Digests()
    known.of(image)
    windows = [
        Image(image.data[:, top : top + 8, left : left + 8]) for top in (0, 4) for left in (0, 4)
    ]
    inside = Image(windows[3].data[:, 0:4, 0:4])
    found = [
        known.of(window)
        for window in [*windows, inside, Image(image.data[:, :, ::2]), Image(image.data.flip(2))]
    ]
    assert len(set(found)) == 7
    assert len(hashed) == 2, "the image, and the mirrored one, which is a copy"
    again = Digests()
    again.of(example(Image))
    assert again.of(Image(windows[3].data)) != found[3], (
        "another image's window is known by nothing but its content"
    )
    image, again = example(Image), Digests()
    again.of(image)
    assert again.of(Image(image.data[:, 4:12, 4:12])) == found[3]


def test_a_change_in_place_is_seen(hashed: list[torch.Size]) -> None:
    image, known = example(Image), Digests()
    window = Image(image.data[:, :8, :8])
    before = known.of(image), known.of(window)
    image.data[0, 0, 0] += 0.5
    assert known.of(image) == Digests().of(image) != before[0]
    assert known.of(window) != before[1]


def test_tensors_of_inference_mode_have_digests_too() -> None:
    with torch.inference_mode():
        data = example(Image).data.clone()
    assert Digests().of(Image(data)) == Digests().of(Image(example(Image).data))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Image(torch.zeros(3, 2, 2), "a"), Image(torch.zeros(3, 2, 2), "b")),
        (Image(torch.zeros(3, 2, 4)), Image(torch.zeros(3, 4, 2))),
        (Image(torch.zeros(3, 2, 2)), Image(torch.zeros(3, 2, 2, dtype=torch.float64))),
        (
            Image(torch.zeros(3, 2, 2)),
            Image(torch.zeros(3, 2, 2), hidden=torch.zeros(1, 1, dtype=torch.bool)),
        ),
        (Scores(torch.ones(1, 2, 2), (1,)), Scores(torch.ones(1, 2, 2), (2,))),
        (Present((1, 23)), Present((12, 3))),
        (Present(()), Present((0,))),
        (Vocabulary(("a,b",), (0, 1), ()), Vocabulary(("a", "b"), (0, 1), ())),
    ],
)
def test_what_differs_has_another_digest(one: Any, other: Any) -> None:
    assert Digests().of(one) != Digests().of(other)


def test_values_without_tensors_are_known_by_content() -> None:
    assert Digests().of(example(Captions)) == Digests().of(example(Captions))


@given(st.lists(st.text()), st.lists(st.text()))
def test_names_cannot_be_confused(one: list[str], other: list[str]) -> None:
    digest = [Digests().of(Vocabulary(tuple(names), (), ())) for names in (one, other)]
    assert (digest[0] == digest[1]) == (one == other)


def test_marked_values_keep_the_first_key() -> None:
    scores, known = example(Scores), Digests()
    known.mark(scores, "first")
    digest = known.of(scores)
    known.mark(scores, "second")
    assert known.of(scores) == digest != Digests().of(scores)


def test_why_classes_were_chosen_is_no_part_of_what_was_chosen() -> None:
    known = Digests()
    assert known.of(Present((1,), (0.9,), "seen")) == known.of(Present((1,)))
    assert known.of(Present((1,))) != known.of(Present((2,)))
