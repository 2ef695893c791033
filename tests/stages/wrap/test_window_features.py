from __future__ import annotations

import pytest
import torch

from ovsskit.engine.driver import Driver
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import Image, PatchFeatures
from ovsskit.errors import BadValue
from ovsskit.stages.wrap._windows import spans
from ovsskit.stages.wrap.window_features import WindowFeatures
from ovsskit.testing import check_wrapper


class Patches(Stage, writes="patch_features"):
    """Stand for a network: features of patches of four pixels, which follow from the whole crop."""

    def run_batch(self, image: Batch[Image]) -> Batch[PatchFeatures]:
        """Return three features for every whole patch."""
        return [
            PatchFeatures((torch.nn.functional.avg_pool2d(one.data, 4) * 9 + one.data.mean()).sin())
            for one in image
        ]


@pytest.mark.parametrize("size", [(16, 24), (8, 40), (20, 12)])
@pytest.mark.parametrize(("window", "stride"), [(12, 8), (8, 4), (16, 16)])
def test_against_a_plain_loop(size: tuple[int, int], window: int, stride: int) -> None:
    image = torch.rand(3, *size)
    stage = WindowFeatures(window=window, stride=stride, inner=(Patches(),))
    [state] = Driver({}, {}, batch=3).run([stage], [{"image": Image(image)}])
    total, count = (
        torch.zeros(3, size[0] // 4, size[1] // 4),
        torch.zeros(size[0] // 4, size[1] // 4),
    )
    for row in spans(size[0], window, stride):
        for column in spans(size[1], window, stride):
            [found] = Patches().run_batch([Image(image[:, row, column])])
            place = (
                slice(row.start // 4, row.stop // 4),
                slice(column.start // 4, column.stop // 4),
            )
            total[(slice(None), *place)] += found.data
            count[place] += 1
    torch.testing.assert_close(state["patch_features"].data, total / count)


def test_in_one_piece_pixels_may_be_left_over() -> None:
    image = Image(torch.rand(3, 18, 23))
    [state] = Driver({}, {}).run([WindowFeatures(window=0, inner=(Patches(),))], [{"image": image}])
    assert torch.equal(state["patch_features"].data, Patches().run(image).data)


def test_margins_of_whole_patches_are_cut_off() -> None:
    image = torch.rand(3, 8, 12)
    stage = WindowFeatures(
        window=0, multiple=16, padding="end", colour=(0.0, 0.0, 0.0), inner=(Patches(),)
    )
    [state] = Driver({}, {}).run([stage], [{"image": Image(image)}])
    padded = torch.nn.functional.pad(image, (0, 4, 0, 8))
    expected = Patches().run(Image(padded)).data[:, :2, :3]
    torch.testing.assert_close(state["patch_features"].data, expected)


@pytest.mark.parametrize(
    ("size", "stride", "says"),
    [((16, 22), 8, "22 x 16 pixels, which patches of 4 x 4"), ((16, 24), 6, "columns 6 to 18;")],
)
def test_windows_that_cut_patches_are_refused(
    size: tuple[int, int], stride: int, says: str
) -> None:
    stage = WindowFeatures(window=12, stride=stride, inner=(Patches(),))
    with pytest.raises(BadValue, match=says):
        Driver({}, {}).run([stage], [{"image": Image(torch.rand(3, *size))}])


def test_contract() -> None:
    check_wrapper(WindowFeatures(window=0), inner=Patches())
