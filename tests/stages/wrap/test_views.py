from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from scipy.ndimage import gaussian_filter

from ovsskit.engine.driver import Driver
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image, Logits, Saliency
from ovsskit.errors import Problems
from ovsskit.recipe.build import load_recipe
from ovsskit.stages.wrap.views import GREY, SCALES, TURNS, View, Views, fit, grey, undo
from ovsskit.testing import ToyScores, check_wrapper

NAMES = get_args(View)
SIZES = st.integers(1, 9)


class Thirds(Stage, writes="scores"):
    def run(self, image: Image) -> Logits:
        """Return the mean colour of pieces of three by three pixels; what is left over
        is not seen.
        """
        return Logits(torch.nn.functional.avg_pool2d(image.data, 3), (1, 2, 3))


@given(view=st.sampled_from(sorted(TURNS)), height=SIZES, width=SIZES, seed=st.integers(0, 99))
def test_altering_and_undoing_is_the_identity(
    view: View, height: int, width: int, seed: int
) -> None:
    photo = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))
    image = Image(photo, hidden=photo[0] > 0.5)
    altered = Views().alter(image, view)
    assert torch.equal(undo(altered.data, view), photo)
    assert altered.hidden is not None
    assert torch.equal(altered.hidden, altered.data[0] > 0.5)


@given(
    view=st.sampled_from(sorted(SCALES)),
    height=st.integers(16, 60),
    width=st.integers(16, 60),
    seed=st.integers(0, 99),
)
def test_scaling_and_undoing_moves_nothing(view: View, height: int, width: int, seed: int) -> None:
    """A slope comes back, away from the border; a shift by a hundredth of a pixel
    would be found.
    """
    down, right, level = torch.rand(3, 3, 1, 1, generator=torch.Generator().manual_seed(seed)) + 0.5
    image = down * torch.arange(height)[:, None] + right * torch.arange(width) + level
    altered = Views().alter(Image(image, hidden=image[0] > 20), view)
    assert altered.hidden is None
    assert altered.size == (round(height * SCALES[view]), round(width * SCALES[view]))
    back = fit(altered.data, (height, width))
    error = (back - image)[:, 5:-5, 5:-5]
    assert bool((error.abs() < 0.25 * (down + right)).all())
    assert bool((error.mean((1, 2), keepdim=True).abs() < 0.01 * torch.minimum(down, right)).all())
    flat = torch.full((3, height, width), 0.3)
    torch.testing.assert_close(fit(Views().alter(Image(flat), view).data, (height, width)), flat)


@pytest.mark.parametrize("percent", [50, 75, 125, 150, 175])
def test_a_scaled_view_is_as_large_as_its_name_says(percent: int) -> None:
    view: View = f"scale_{percent}"  # type: ignore[assignment]
    altered = Views().alter(Image(torch.rand(3, 40, 80)), view)
    assert altered.size == (40 * percent // 100, 80 * percent // 100)


def test_maps_of_scaled_views_come_to_the_grid_of_the_first() -> None:
    image = Image(torch.rand(3, 12, 18))
    views = Views(
        same=("identity",), altered=("scale_50", "scale_150"), same_weight=0.5, inner=(Thirds(),)
    )
    [state] = Driver({}, {}).run([views], [{"image": image}])
    first = Thirds().run(image).data
    others = [Thirds().run(Views().alter(image, one)).data for one in ("scale_50", "scale_150")]
    assert [tuple(one.shape[1:]) for one in others] == [(2, 3), (6, 9)]
    expected = 0.5 * first + 0.25 * sum(fit(one, (4, 6)) for one in others)
    torch.testing.assert_close(state["scores"].data, expected)


@pytest.mark.parametrize("size", [(4, 6), (8, 6), (4, 12), (8, 12)])
def test_maps_come_to_a_grid_that_differs_in_one_side_or_both(size: tuple[int, int]) -> None:
    assert fit(torch.rand(2, 4, 6), size).shape == (2, *size)


def test_defaults_are_those_of_itaclip_and_of_clip() -> None:
    views, image = Views(inner=(Thirds(),)), Image(torch.rand(3, 12, 18))
    [state] = Driver({}, {}).run([views], [{"image": image}])
    maps = {
        view: undo(Thirds().run(Views().alter(image, view)).data, view)
        for view in ("identity", "grey", "blur", "vertical_flip", "horizontal_flip")
    }
    same, altered = list(maps.values())[:3], list(maps.values())[3:]
    torch.testing.assert_close(state["scores"].data, sum(same) / 4 + sum(altered) / 8)
    assert views.mean == OPENAI_DATASET_MEAN
    assert views.deviation == OPENAI_DATASET_STD


def test_turns_are_what_they_are_called() -> None:
    image = torch.rand(3, 4, 6)
    shown = {view: Views().alter(Image(image), view).data for view in TURNS}
    assert torch.equal(shown["vertical_flip"], image[:, [3, 2, 1, 0]])
    assert torch.equal(shown["horizontal_flip"][:, :, 0], image[:, :, 5])
    assert torch.equal(shown["rotate_90"], image.transpose(1, 2).flip(1))
    assert torch.equal(shown["rotate_180"], image.flip(1, 2))
    assert torch.equal(shown["rotate_270"], image.transpose(1, 2).flip(2))


def test_grey_is_taken_on_normalised_channels() -> None:
    image, mean, deviation = torch.rand(3, 4, 6), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    middle, spread = torch.tensor(mean)[:, None, None], torch.tensor(deviation)[:, None, None]
    seen = (grey(image, mean, deviation) - middle) / spread
    red, green, blue = (image - middle) / spread
    expected = GREY[0] * red + GREY[1] * green + GREY[2] * blue
    torch.testing.assert_close(seen, expected.expand(3, -1, -1))


@pytest.mark.parametrize("size", [(20, 31), (6, 40), (5, 40), (3, 3)])
def test_blur_is_a_gaussian_mirrored_at_the_border(size: tuple[int, int]) -> None:
    image = torch.rand(3, *size)
    mode = "mirror" if min(size) > 5 else "nearest"
    expected = [gaussian_filter(one, 5, mode=mode, radius=5) for one in image.double().numpy()]
    torch.testing.assert_close(
        Views().alter(Image(image), "blur").data.double(),
        torch.tensor(np.stack(expected)),
        atol=1e-6,
        rtol=0,
    )


@pytest.mark.parametrize("view", NAMES)
@pytest.mark.parametrize("group", ["same", "altered"])
def test_every_view_works_in_either_group(view: View, group: str) -> None:
    image = Image(torch.rand(3, 12, 18))
    views = Views(
        **{"same": ("identity",), "altered": (), "same_weight": 0.25, group: (view,)},
        inner=(Thirds(),),
    )
    [state] = Driver({}, {}).run([views], [{"image": image}])
    [plain, seen] = (
        fit(
            undo(Thirds().run(Views().alter(image, one)).data, one),
            (4, 6) if group == "altered" else grid_of(view),
        )
        for one in (("identity", view) if group == "altered" else (view,) * 2)
    )
    torch.testing.assert_close(
        state["scores"].data, plain * 0.25 + seen * 0.75 if group == "altered" else seen
    )
    if view in TURNS:
        torch.testing.assert_close(seen, Thirds().run(image).data)


def grid_of(view: View) -> tuple[int, int]:
    """Return the grid of `Thirds` for a view of 12 x 18 pixels that stands alone."""
    factor = SCALES.get(view, 1.0)
    return int(12 * factor + 0.5) // 3, int(18 * factor + 0.5) // 3


def test_the_groups_are_weighed() -> None:
    image = Image(torch.rand(3, 9, 9))
    views = Views(
        same=("identity", "grey"), altered=("blur",), same_weight=0.7, inner=(ToyScores(),)
    )
    [state] = Driver({}, {}).run([views], [{"image": image}])
    one, two, three = (Views().alter(image, view).data for view in ("identity", "grey", "blur"))
    torch.testing.assert_close(state["scores"].data, 0.7 * (one + two) / 2 + 0.3 * three)
    assert isinstance(state["scores"], Saliency)


def test_contract() -> None:
    check_wrapper(Views(same=("identity", "rotate_180"), altered=("rotate_90",)))


def test_an_unknown_view_is_found_before_running(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        '[[stage]]\nuse = "views"\naltered = ["sideways"]\n[[stage.inner]]\n'
        'use = "resize_image"\n[[stage]]\nuse = "label_map"\n'
    )
    with pytest.raises(Problems, match="views.altered") as caught:
        load_recipe(recipe)
    assert "horizontal_flip" in str(caught.value)
