from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ovsskit.engine.driver import Driver
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import Image, Logits, Saliency
from ovsskit.stages.wrap._windows import spans
from ovsskit.stages.wrap.sliding_window import SlidingWindow
from ovsskit.stages.wrap.views import Views
from ovsskit.testing import ToyScores, check_wrapper


class Waves(Stage, writes="scores"):
    """Stand for a network: maps on patches of four pixels, which follow from the whole crop."""

    def run_batch(self, image: Batch[Image]) -> Batch[Logits]:
        return [self._wave(one) for one in image]

    def _wave(self, image: Image) -> Logits:
        rows, columns = (max(side // 4, 1) for side in image.size)
        pooled = torch.nn.functional.adaptive_avg_pool2d(image.data, (rows, columns))
        return Logits((pooled * 9 + image.data.mean()).sin(), (1, 2, 3))


class Spread(ToyScores):
    """Stand for a network whose maps have a value per pixel, which follows from the whole crop."""

    def run(self, image: Image) -> Saliency:
        return Saliency(image.data - image.data.mean(), (1, 2, 3))


def plain_loop(image: torch.Tensor, window: int, stride: int) -> torch.Tensor:
    """Take one window at a time, by the published rule."""
    height, width = image.shape[1:]
    total, count = torch.zeros(3, height, width), torch.zeros(height, width)
    for row in range(max(height - window + stride - 1, 0) // stride + 1):
        for column in range(max(width - window + stride - 1, 0) // stride + 1):
            bottom, right = min(row * stride + window, height), min(column * stride + window, width)
            top, left = max(bottom - window, 0), max(right - window, 0)
            maps = Waves().run(Image(image[:, top:bottom, left:right])).data
            size = (bottom - top, right - left)
            total[:, top:bottom, left:right] += torch.nn.functional.interpolate(
                maps[None], size, mode="bilinear"
            )[0]
            count[top:bottom, left:right] += 1
    return total / count


LENGTHS, WINDOWS, STRIDES = st.integers(1, 60), st.integers(1, 30), st.integers(1, 30)


@given(length=LENGTHS, window=WINDOWS, stride=STRIDES)
def test_every_pixel_is_covered(length: int, window: int, stride: int) -> None:
    found = spans(length, window, stride)
    assert {pixel for span in found for pixel in range(span.start, span.stop)} == set(range(length))
    assert {span.stop - span.start for span in found} == {min(window, length)}
    assert len({span.start for span in found}) == len(found)
    assert all(0 < after.start - before.start <= stride for before, after in pairwise(found))


def test_published_counts() -> None:
    assert [
        len(spans(336, 224, 28)) * len(spans(448, 224, 28)),
        len(spans(336, 224, 112)) * len(spans(448, 224, 112)),
    ] == [
        45,
        6,
    ]
    assert len(spans(448, 224, 28)) * len(spans(597, 224, 28)) == 135


@given(
    height=LENGTHS,
    width=LENGTHS,
    window=st.integers(4, 30),
    stride=st.integers(3, 30),
    seed=st.integers(0, 9),
)
def test_equal_to_the_plain_loop(
    height: int, width: int, window: int, stride: int, seed: int
) -> None:
    stride = min(stride, window)
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))
    stage = SlidingWindow(window=window, stride=stride, inner=(Waves(),))
    [state] = Driver({}, {}, batch=3).run([stage], [{"image": Image(image)}])
    torch.testing.assert_close(
        state["scores"].data, plain_loop(image, window, stride), atol=1e-6, rtol=1e-5
    )


@given(
    height=st.integers(5, 40),
    width=st.integers(5, 40),
    window=st.integers(5, 30),
    seed=st.integers(0, 9),
)
def test_windows_are_padded_evenly_and_cut_back(
    height: int, width: int, window: int, seed: int
) -> None:
    """Without overlap, each window alone: margins of the colour around it, maps enlarged to all of
    it and cut.
    """
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))
    stage = SlidingWindow(
        window=window, stride=window, multiple=4, colour=(255.0, 0.0, 51.0), inner=(Waves(),)
    )
    [state] = Driver({}, {}).run([stage], [{"image": Image(image)}])
    total, count = torch.zeros(3, height, width), torch.zeros(height, width)
    for row in spans(height, window, window):
        for column in spans(width, window, window):
            crop = image[:, row, column]
            sides = [side + (4 - side % 4) % 4 for side in crop.shape[1:]]
            top, left = (
                (whole - side) // 2 for whole, side in zip(sides, crop.shape[1:], strict=True)
            )
            padded = torch.tensor([1.0, 0.0, 0.2])[:, None, None].repeat(1, *sides)
            inside = (
                slice(None),
                slice(top, top + crop.shape[1]),
                slice(left, left + crop.shape[2]),
            )
            padded[inside] = crop
            maps = torch.nn.functional.interpolate(
                Waves().run(Image(padded)).data[None], sides, mode="bilinear"
            )[0]
            total[:, row, column] += maps[inside]
            count[row, column] += 1
    torch.testing.assert_close(state["scores"].data, total / count, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("part", [-1.0, 256.0])
def test_a_colour_has_parts_from_0_to_255(part: float) -> None:
    with pytest.raises(ValidationError, match="equal to (0|255)"):
        SlidingWindow(colour=(0.0, 255.0, part))


@pytest.mark.parametrize("window", [0, 33, 99])
def test_in_one_piece_the_maps_are_enlarged_to_the_image(window: int) -> None:
    image = Image(torch.rand(3, 20, 33))
    stage = SlidingWindow(window=window, inner=(Waves(),))
    [state] = Driver({}, {}).run([stage], [{"image": image}])
    maps = torch.nn.functional.interpolate(
        Waves().run(image).data[None], image.size, mode="bilinear"
    )
    torch.testing.assert_close(state["scores"].data, maps[0])


def test_hidden_patches_stay_hidden_where_a_window_shows_all() -> None:
    hidden = torch.eye(4, dtype=torch.bool)
    image = Image(torch.rand(3, 16, 32)).hide(hidden)
    [[whole], halves, [padded]] = (
        shown(SlidingWindow(window=window, stride=16, multiple=multiple), image)
        for window, multiple in ((0, 16), (16, 16), (0, 20))
    )
    assert whole is image
    assert [one.hidden for one in (*halves, padded)] == [None] * 3
    # Padded to the very size of the image, a window is still not the image.
    some = shown(SlidingWindow(window=30, stride=2, multiple=16), image)
    assert [one.hidden for one in some] == [None] * 2


def shown(stage: SlidingWindow, image: Image) -> list[Image]:
    return [image.crop(window) for window in stage.windows(image)]


def test_it_nests_with_views_and_shares_batches() -> None:
    images = [Image(torch.rand(3, 20, 33)), Image(torch.rand(3, 9, 40))]
    seen: list[int] = []

    class Counted(Waves):
        def run_batch(self, image: Batch[Image]) -> Batch[Logits]:
            seen.append(len(image))
            return super().run_batch(image)

    window = SlidingWindow(window=16, stride=8, inner=(Views(inner=(Counted(),)),))
    outer = Views(inner=(SlidingWindow(window=16, stride=8, inner=(Counted(),)),))
    for chain in (window, outer):
        together = Driver({}, {}, batch=4).run([chain], [{"image": image} for image in images])
        assert max(seen) == 4
        for image, state in zip(images, together, strict=True):
            [alone] = Driver({}, {}, batch=1).run([chain], [{"image": image}])
            torch.testing.assert_close(state["scores"].data, alone["scores"].data)
            assert state["scores"].data.shape[1:] == image.size


def test_windows_of_an_image_read_from_another_slot() -> None:
    image = Image(torch.rand(3, 20, 33))
    half = replace(image, data=image.data[:, :12, :12])
    stage = SlidingWindow(window=8, stride=4, reads={"image": "resized"}, inner=(Waves(),))
    [state] = Driver({}, {}).run([stage], [{"image": image, "resized": half}])
    torch.testing.assert_close(state["scores"].data, plain_loop(half.data, 8, 4))


@pytest.mark.parametrize("stride", [3, 10])
def test_contract(stride: int) -> None:
    check_wrapper(SlidingWindow(window=10, stride=stride))
    check_wrapper(SlidingWindow(window=10, stride=stride), inner=Spread())
