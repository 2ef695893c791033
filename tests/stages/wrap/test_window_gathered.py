"""What patches gathered in windows is averaged place by place, on one grid of patches."""

from __future__ import annotations

import pytest
import torch

from ovsskit.engine.driver import Driver
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Gathered, Image
from ovsskit.errors import BadValue
from ovsskit.stages.wrap.window_gathered import WindowGathered

PATCH = 4


class Places(Stage, writes="gathered"):
    """Write what a window shows of the left and upper patch, and its own number of patches."""

    def run(self, image: Image) -> Gathered:
        """Return two numbers for every patch: its own colour, and how many patches there are."""
        colours = image.data[:1, ::PATCH, ::PATCH]
        return Gathered(torch.cat([colours, torch.full_like(colours, colours.numel())]), 3)


def run(wrapper: WindowGathered, image: Image) -> Gathered:
    inside = wrapper.model_copy(update={"inner": (Places(),)})
    [state] = Driver({}, {}).run([inside], [{"image": image}])
    found: Gathered = state["gathered"]
    return found


def test_every_patch_is_the_mean_of_the_windows_that_show_it() -> None:
    image = Image(torch.rand(3, 16, 24, generator=torch.Generator().manual_seed(0)))
    found = run(WindowGathered(window=12, stride=8), image)
    assert (found.grid, found.layer) == ((4, 6), 3)
    torch.testing.assert_close(found.data[0], image.data[0, ::PATCH, ::PATCH])
    assert torch.equal(found.data[1], torch.full((4, 6), 9.0))


def test_a_window_that_the_image_does_not_fill_and_one_of_all() -> None:
    image = Image(torch.rand(3, 8, 12, generator=torch.Generator().manual_seed(0)))
    for window in (0, 16):
        found = run(WindowGathered(window=window, stride=8), image)
        assert found.grid == (2, 3)
        assert torch.equal(found.data[1], torch.full((2, 3), 6.0))


def test_edges_inside_patches_are_refused() -> None:
    with pytest.raises(BadValue, match="window_gathered looks at an image of 18 x 16 pixels"):
        run(WindowGathered(window=12, stride=8), Image(torch.zeros(3, 16, 18)))
