"""Windows cut everything that lies over an image, and wrappers say what they do to its places."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

import pytest
import torch

from ovsskit.engine import values
from ovsskit.engine.driver import Driver
from ovsskit.engine.stage import Stage, Wrapper, Wraps
from ovsskit.engine.values import (
    ForegroundMap,
    Hidden,
    Image,
    Labels,
    Logits,
    PatchFeatures,
    Regions,
    Spatial,
    Window,
)
from ovsskit.engine.wiring import Node, wire
from ovsskit.errors import BadValue, collecting
from ovsskit.stages.wrap.crop_grid import CropGrid
from ovsskit.stages.wrap.sliding_window import SlidingWindow
from ovsskit.stages.wrap.views import Views
from ovsskit.testing import example


class Bright(Stage, writes="scores"):
    """Score an image, and read another value that lies over it."""

    def run(self, image: Image, foreground: ForegroundMap, labels: Labels) -> Logits:
        """Return colours, times foreground, plus labels."""
        assert image.size == tuple(labels.ids.shape)
        grid = foreground.data[None, None]
        shown = torch.nn.functional.interpolate(grid, image.size, mode="nearest")[0, 0]
        return Logits(image.data * shown + labels.ids, (1, 2, 3))


class Inner(Stage, writes="scores"):
    """Read what a network made of the image."""

    def run(self, image: Image, hidden: Hidden) -> Logits:
        """Return the image."""
        return Logits(image.data, (1, 2, 3))


def states() -> list[dict[str, Any]]:
    return [
        {
            "image": Image(torch.rand(3, 12, 20)),
            "foreground": ForegroundMap(torch.rand(6, 5)),
            "labels": Labels(torch.randint(5, (12, 20))),
        }
        for _ in range(2)
    ]


@pytest.mark.parametrize("inside", [lambda: Bright(), lambda: SlidingWindow(inner=(Bright(),))])
def test_all_that_lies_over_the_image_is_cut(inside: Any) -> None:
    """What is computed place by place does not depend on windows, also of windows in windows."""
    given = states()
    chain = [SlidingWindow(window=8, stride=4, name="outer", inner=(inside(),))]
    for state, found in zip(given, Driver({}, {}, batch=3).run(chain, given), strict=True):
        torch.testing.assert_close(found["scores"].data, Bright().run(**state).data)


def test_crops_of_a_grid_are_cut_too() -> None:
    [state, _] = states()
    [found] = Driver({}, {}).run([CropGrid(sizes=(8, 0), inner=(Bright(),))], [state])
    assert found["scores"].data.shape == (3, 12, 20)


def test_margins_have_the_colour_in_images_and_are_0_elsewhere() -> None:
    window = Window((12, 20), slice(4, 12), slice(0, 8), (4, 0, 4, 8), (255.0, 0.0, 51.0))
    state = states()[0]
    image = state["image"].crop(window).data
    assert image.shape == (3, 12, 20)
    torch.testing.assert_close(image[:, 0, 0], torch.tensor([1.0, 0.0, 0.2]))
    torch.testing.assert_close(image[:, 4:, 4:12], state["image"].data[:, 4:12, :8])
    assert state["foreground"].crop(window).data.shape == (6, 5)
    assert not state["foreground"].crop(window).data[:2].any()
    assert torch.equal(state["labels"].crop(window).ids[4:, 4:12], state["labels"].ids[4:12, :8])
    features = PatchFeatures(torch.rand(7, 3, 5))
    cut = features.crop(window).data
    assert cut.shape == (7, 3, 5)
    assert torch.equal(cut[:, 1:, 1:3], features.data[:, 1:3, :2])


def test_regions_are_brought_to_the_size_and_margins_are_one_more() -> None:
    regions = Regions(torch.tensor([[0, 1], [2, 2]]))
    window = Window((4, 4), slice(1, 4), slice(0, 2), (0, 1, 0, 1))
    assert regions.crop(window).data.tolist() == [[0, 0, 3], [2, 2, 3], [2, 2, 3], [3, 3, 3]]


def test_a_window_on_all_of_it_is_the_value_itself() -> None:
    window = Window((12, 20), slice(0, 12), slice(0, 20))
    for value in states()[0].values():
        assert value.crop(window) is value


def test_edges_inside_a_patch_are_refused() -> None:
    features, window = (
        PatchFeatures(torch.rand(7, 3, 5)),
        Window((12, 20), slice(0, 8), slice(3, 11)),
    )
    with pytest.raises(BadValue, match=r"columns 3 to 11; its edges lie inside patches of 4 x 4"):
        features.crop(window)


def test_an_image_of_another_size_is_refused() -> None:
    state = states()[0]
    with pytest.raises(BadValue, match="20 x 12 pixels is read in windows of an image of 40 x 24"):
        state["image"].crop(Window((24, 40), slice(0, 8), slice(0, 8)))


def problems_of(wrapper: type[Wrapper], inner: type[Stage]) -> list[str]:
    given = {"hidden": Hidden, "foreground": ForegroundMap, "labels": Labels}
    with collecting() as problems:
        wire([Node(wrapper, "outer", {}, (Node(inner, "inner"),))], {}, given=given)
    return [str(problem) for problem in problems]


@pytest.mark.parametrize("wrapper", [SlidingWindow, CropGrid])
def test_what_cannot_be_cut_is_refused_before_a_run(wrapper: type[Wrapper]) -> None:
    [problem] = problems_of(wrapper, Inner)
    assert "outer looks through windows, but its inner chain reads `hidden` (Hidden)" in problem
    assert not problems_of(wrapper, Bright)


def test_what_does_not_move_with_the_image_is_refused_before_a_run() -> None:
    found = problems_of(Views, Bright)
    assert len(found) == 2
    assert "outer moves things in the image, but its inner chain reads" in found[0]
    assert not problems_of(Plain, Inner), "a wrapper that keeps places says nothing"


class Plain(Wrapper, writes="scores"):
    """Run the inner chain as it is."""

    def run(self, image: Image) -> Wraps[Logits]:
        """Return its scores."""
        [out] = yield [{}]
        scores: Logits = out["scores"]
        return scores


class Left(Wrapper, writes="scores"):
    """Look at the first eight columns."""

    places: ClassVar[Literal["kept", "cut", "moved"]] = "cut"

    def run(self, image: Image) -> Wraps[Logits]:
        """Return the scores of the first columns."""
        height, _ = image.size
        [out] = yield [Window(image.size, slice(0, height), slice(0, 8))]
        scores: Logits = out["scores"]
        return scores


def test_a_slot_that_the_wrapper_reads_under_another_name_is_cut_under_its_own() -> None:
    state = states()[0]
    half = replace(state["image"], data=state["image"].data * 0.5)
    stage = Left(reads={"image": "other"}, inner=(Bright(),))
    [found] = Driver({}, {}).run([stage], [{**state, "other": half}])
    expected = Bright().run(**{**state, "image": half}).data[:, :, :8]
    torch.testing.assert_close(found["scores"].data, expected)


CUT = [
    kind
    for kind in vars(values).values()
    if isinstance(kind, type) and issubclass(kind, Spatial) and kind.crop is not Spatial.crop
]


@pytest.mark.parametrize("kind", CUT, ids=lambda kind: kind.__name__)
def test_every_kind_that_can_be_cut_keeps_its_laws(kind: type[Spatial]) -> None:
    value, size = example(kind), example(Image).size
    whole = Window(size, slice(0, size[0]), slice(0, size[1]))
    assert value.crop(whole) is value
    grid = (size[0] // 2, size[1])
    kind.check(value.crop(Window(size, slice(0, grid[0]), slice(0, grid[1]))))
