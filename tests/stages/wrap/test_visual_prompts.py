from __future__ import annotations

import pytest
import torch

from ovsskit.engine.driver import Driver
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import Image, Present, Saliency
from ovsskit.ops.marks import draw_marks
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.stages.wrap.visual_prompts import TOGETHER, VisualPrompts
from ovsskit.testing import ToyPresent, check_wrapper, example

SEEN: list[Image] = []
MAPS = Saliency.example(3)


class Look(Stage, writes="present"):
    """Note what is shown, and score class i by the mean of colour i."""

    above: float = 0.0

    def run_batch(self, image: Batch[Image]) -> Batch[Present]:
        SEEN.extend(image)
        scores = [tuple(one.data.mean((1, 2)).tolist()) for one in image]
        return [
            Present(tuple(i for i, score in enumerate(one, 1) if score > self.above), one)
            for one in scores
        ]


def mark(
    scores: Saliency = MAPS,
    labels: tuple[int, ...] = (1, 2, 3),
    above: float = 0.0,
    **fields: object,
) -> Present:
    SEEN.clear()
    wrapper = VisualPrompts(inner=(Look(above=above),), **fields)
    words = make_vocabulary([f"class {number}" for number in range(1, max(3, *labels, 0) + 1)])
    state = {
        "image": example(Image),
        "scores": scores,
        "present": Present(labels),
        "vocabulary": words,
    }
    [found] = Driver({}, {}).run([wrapper], [state])
    present: Present = found["present"]
    return present


def test_contract() -> None:
    check_wrapper(VisualPrompts(marks=("contour",), at=0.5), inner=ToyPresent())


def test_each_class_is_marked_in_an_image_of_its_own() -> None:
    mark(labels=(3, 1), marks=("blur", "ellipse"), at=0.7)
    masks = (MAPS.data > 0.7).numpy()[[2, 0]]
    expected = draw_marks(example(Image).pixels.numpy(), masks, ["blur", "ellipse"])
    for shown, one in zip(SEEN, expected, strict=True):
        assert (shown.pixels.numpy() == one).all()


def test_a_class_is_scored_in_its_own_image_and_kept_if_it_is_taken_there() -> None:
    found = mark(marks=("black",), at=0.6)
    own = [float(image.data[place].mean()) for place, image in enumerate(SEEN)]
    assert found.scores == pytest.approx(own)
    limit = sorted(own)[1]
    kept = mark(marks=("black",), at=0.6, above=limit)
    assert kept.labels == (own.index(max(own)) + 1,)


def test_the_best_is_kept_where_none_is_taken() -> None:
    found = mark(labels=(2, 3), marks=("black",), above=1.0)
    assert found.labels == (max((2, 3), key=lambda label: found.scores[label - 1]),)
    assert found.scores[0] == 0, "it did not take part"


def test_small_maps_are_enlarged() -> None:
    small = Saliency(torch.rand(3, 4, 5), (1, 2, 3))
    mark(small, marks=("black",))
    large = torch.nn.functional.interpolate(small.data[None], example(Image).size, mode="bilinear")
    for shown, one in zip(SEEN, large[0], strict=True):
        assert torch.equal(shown.data.sum(0) > 0, (one > 0.4) & (example(Image).data.sum(0) > 0))


@pytest.mark.parametrize("data", [MAPS.data * 0, MAPS.data * 1e-4, MAPS.data * 0.39])
def test_where_there_is_nothing_to_mark_the_image_stays_as_it_is(data: torch.Tensor) -> None:
    mark(MAPS.with_data(data), marks=("black", "rectangle"))
    assert all(torch.equal(shown.data, example(Image).data) for shown in SEEN)


def test_classes_may_have_marks_of_their_own() -> None:
    mark(marks=("grey",), marks_of={"class 2": ("black",)})
    by_black = [bool((shown.data == 0).all(0).any()) for shown in SEEN]
    assert by_black == [False, False, True], "images that are marked alike follow each other"


def test_without_marks_or_classes_the_image_is_seen_once() -> None:
    plain = tuple(example(Image).data.mean((1, 2)).tolist())
    assert mark(marks=()).scores == plain
    assert len(SEEN) == 1
    mark(labels=(), marks=("black",))
    assert len(SEEN) == 1


def test_many_classes_are_not_marked_all_at_once() -> None:
    count = 2 * TOGETHER + 3
    scores = Saliency(torch.rand(count, 4, 5), tuple(range(1, count + 1)))
    state = {
        "image": example(Image),
        "scores": scores,
        "present": Present(scores.labels),
        "vocabulary": make_vocabulary([f"class {label}" for label in scores.labels]),
    }
    run = VisualPrompts().run(**state)
    requests, asked = next(run), []
    while requests:
        asked.append(len(requests))
        try:
            requests = run.send([{"present": Present((), (0.5,) * count)}] * len(requests))
        except StopIteration:
            requests = []
    assert asked == [TOGETHER, TOGETHER, 3]
