from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from ovsskit.engine.values import (
    NEGATIVE,
    Image,
    PatchAttention,
    Probabilities,
    TextFeatures,
)
from ovsskit.errors import BadValue
from ovsskit.ops.boxes import rectangle_of, scale
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.presence._patch_votes import refine, vote
from ovsskit.stages.presence._second_look import above
from ovsskit.stages.presence.presence_by_patches import PresenceByPatches
from ovsskit.testing import ToyBackbone, example

GRID = (6, 7)
PATCHES = GRID[0] * GRID[1]
WORDS = make_vocabulary(["one", "two", "three"], negatives=["other"])
LABELS = (1, 2, 3, NEGATIVE)
IMAGE = Image(torch.rand(3, 6 * 4, 7 * 4, generator=torch.Generator().manual_seed(9)))


class Regions(ToyBackbone):
    """Say of every part of an image what a table says, and keep what was asked."""

    def encode_regions(
        self, images: Sequence[Image], regions: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        ASKED.extend(zip(images, regions, strict=True))
        return torch.nn.functional.one_hot(torch.zeros(len(images)).long(), 4).float()


ASKED: list[tuple[Image, torch.Tensor]] = []
TEXTS = TextFeatures(torch.eye(4), LABELS)


@pytest.fixture(autouse=True)
def nothing_asked() -> None:
    ASKED.clear()


def given(seed: int = 0) -> tuple[Probabilities, PatchAttention]:
    generator = torch.Generator().manual_seed(seed)
    maps = (torch.rand(4, *GRID, generator=generator) * 6).softmax(0)
    weights = torch.rand(12, PATCHES, PATCHES, generator=generator).softmax(-1)
    return (
        Probabilities(maps, LABELS),
        PatchAttention(weights, tuple(range(1, 13)), GRID, 12),
    )


def run(stage: PresenceByPatches, seed: int = 0, image: Image = IMAGE) -> Any:
    scores, attention = given(seed)
    return stage.run(image, scores, attention, TEXTS, WORDS, Regions())


@pytest.mark.parametrize("seed", range(8))
def test_classes_that_stand_out_are_looked_at_again(seed: int) -> None:
    scores, attention = given(seed)
    weights = vote(attention.data, attention.data[[8, 9]].mean(0), 4)
    maps = refine(weights, scores.data)
    least = maps.min() + 0.4 * (maps.max() - maps.min())
    peaks, expected = maps.amax((1, 2)).clone(), []
    for text in range(3):
        region = (maps[text] - maps[text].min()) / (maps[text].max() - maps[text].min()) > 0.5
        rows, columns = rectangle_of(region)
        if maps[text].max() <= least or rows.stop <= rows.start or columns.stop <= columns.start:
            continue
        crop = IMAGE.data[:, rows.start * 4 : rows.stop * 4, columns.start * 4 : columns.stop * 4]
        expected.append((crop, region[rows, columns]))
        sure = torch.tensor([2.0, 0.0, 0.0, 0.0]).softmax(0)[text]
        peaks[text] = (peaks[text] + sure) / 2
    found = run(PresenceByPatches(layers=(9, 10), fraction=0.4, scale=2.0), seed)
    torch.testing.assert_close(torch.tensor(found.scores), peaks[:3])
    low, high = peaks[:3].min(), peaks[:3].max()
    assert found.labels == tuple(
        text + 1 for text in range(3) if peaks[text] > low + 0.4 * (high - low)
    )
    assert len(ASKED) == len(expected)
    for (image, region), (crop, seen) in zip(ASKED, expected, strict=True):
        assert torch.equal(image.data, crop)
        assert torch.equal(region, seen)


def test_without_a_second_look_no_network_runs() -> None:
    found = run(PresenceByPatches(second_look=False))
    assert found.labels
    assert not ASKED


def last_row(text: int) -> torch.Tensor:
    """Return maps whose text has its peak in the last row, where no box is."""
    maps = torch.full((4, *GRID), 0.1)
    for one in range(3):
        maps[one, 2, 2] = 0.8
    maps[text] = 0.1
    maps[text, -1, 2] = 0.9
    return maps


@pytest.mark.parametrize(("empty_box", "texts"), [("skip", [0, 2]), ("stop", [0])])
def test_a_class_with_an_empty_box(empty_box: Any, texts: list[int]) -> None:
    stage = PresenceByPatches(empty_box=empty_box)
    found = stage.looks(IMAGE, last_row(1), LABELS)
    assert [look.text for look in found] == texts


def test_the_best_class_is_taken_if_none_stands_out() -> None:
    scores = Probabilities(torch.full((4, *GRID), 0.25), LABELS)
    stage = PresenceByPatches(votes=0, second_look=False)
    found = stage.run(IMAGE, scores, given()[1], TEXTS, WORDS, Regions())
    assert (found.labels, found.note) == ((1,), "no class stands out: `one` is taken")


def test_one_row_of_patches_and_one_class() -> None:
    words = make_vocabulary(["one"])
    attention = PatchAttention(torch.rand(12, 5, 5), tuple(range(1, 13)), (1, 5), 12)
    scores = Probabilities(torch.ones(1, 1, 5), (1,))
    image = Image(torch.rand(3, 4, 20))
    texts = TextFeatures(torch.eye(4)[:1], (1,))
    found = PresenceByPatches().run(image, scores, attention, texts, words, Regions())
    assert (found.labels, found.scores) == ((1,), (0.0,))


def test_a_class_is_as_sure_as_the_best_of_its_texts() -> None:
    words = make_vocabulary(["one, uno", "two"])
    peaks = torch.tensor([0.1, 0.9, 0.2, 0.95])
    found = PresenceByPatches().choose(peaks, (1, 1, 2, NEGATIVE), words)
    assert found.labels == (1,)
    torch.testing.assert_close(torch.tensor(found.scores), torch.tensor([0.9, 0.2]))


def test_five_hundred_classes() -> None:
    words = make_vocabulary([f"word {number}" for number in range(500)])
    generator = torch.Generator().manual_seed(0)
    maps = (torch.rand(500, *GRID, generator=generator) * 9).softmax(0)
    texts = TextFeatures(torch.rand(500, 4, generator=generator), tuple(range(1, 501)))
    scores = Probabilities(maps, texts.labels)
    found = PresenceByPatches().run(IMAGE, scores, given()[1], texts, words, Regions())
    assert len(found.scores) == 500
    assert found.labels == tuple(sorted(found.labels))


def test_an_image_whose_patches_these_are_not() -> None:
    with pytest.raises(BadValue, match=r"image of 29 x 24 pixels, and scores of 7 x 6 patches"):
        run(PresenceByPatches(), image=Image(torch.rand(3, 24, 29)))
    whole = example(PatchAttention)
    some = PatchAttention(whole.data[:1], (1,), whole.grid, 12)
    with pytest.raises(BadValue, match=r"presence_by_patches\.layers asks for 12.*holds 1"):
        PresenceByPatches().refine(example(Probabilities), some)


def test_the_fraction_is_one_of_the_whole_range() -> None:
    assert float(above(torch.tensor([[1.0, 5.0], [3.0, 2.0]]), 0.25)) == 2.0
    assert bool((scale(last_row(0)).amax((1, 2))[:3] == 1).all())
