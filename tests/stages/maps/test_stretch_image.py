from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.engine.values import Image
from ovsskit.stages.maps.stretch_image import StretchImage

SIDE = st.integers(1, 40)


@given(SIDE, SIDE, st.integers(1, 16))
def test_sides_become_the_next_multiples(height: int, width: int, multiple: int) -> None:
    found = StretchImage(multiple=multiple).run(Image(torch.zeros(3, height, width)))
    for before, after in zip((height, width), found.size, strict=True):
        assert after % multiple == 0
        assert 0 <= after - before < multiple


def test_all_of_the_image_stays_in_it() -> None:
    """Reference: torch's own bicubic resize, on the same bytes."""
    random = torch.rand(3, 45, 61, generator=torch.Generator().manual_seed(0)) / 2 + 0.25
    image = Image((random * 255).round() / 255, "name")
    found = StretchImage().run(image)
    assert (found.size, found.name) == ((48, 64), "name")
    expected = torch.nn.functional.interpolate(
        image.data[None], (48, 64), mode="bicubic", antialias=True
    )[0]
    torch.testing.assert_close(found.data, expected, atol=2.01 / 255, rtol=0)


def test_an_image_of_multiples_is_left_as_it_is() -> None:
    image = Image(torch.rand(3, 32, 48))
    assert StretchImage().run(image) is image
