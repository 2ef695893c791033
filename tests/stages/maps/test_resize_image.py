from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ovsskit.errors import BadPicture
from ovsskit.stages.maps.resize_image import ResizeImage
from ovsskit.values import Image


def test_published_size() -> None:
    assert ResizeImage(short_side=336).run(Image(torch.zeros(3, 375, 500))).size == (336, 448)
    assert ResizeImage(short_side=560).run(Image(torch.zeros(3, 1024, 2048))).size == (560, 1120)
    assert ResizeImage(short_side=448).run(Image(torch.zeros(3, 640, 427))).size == (671, 448)


@given(height=st.integers(1, 90), width=st.integers(1, 90), short_side=st.integers(16, 60))
def test_sizes(height: int, width: int, short_side: int) -> None:
    stage = ResizeImage(short_side=short_side, longer_side=120)
    factor = min(120 / max(height, width), short_side / min(height, width))
    expected = (int(height * factor + 0.5), int(width * factor + 0.5))
    if min(expected) < 16:
        with pytest.raises(BadPicture):
            stage.run(Image(torch.zeros(3, height, width)))
        return
    resized = stage.run(Image(torch.zeros(3, height, width)))
    assert resized.size == expected
    assert min(resized.size) == short_side or max(resized.size) == 120


def test_between_two_pixels() -> None:
    """Enlarged twofold, pixels lie at a quarter and three quarters between those of the picture."""
    line = torch.tensor([0.0, 100.0, 255.0]) / 255
    resized = ResizeImage(short_side=32).run(Image(line.expand(3, 16, 3).contiguous(), "name"))
    assert resized.name == "name"
    small = ResizeImage(short_side=16).run(
        Image(line.repeat_interleave(16).expand(3, 16, 48).contiguous())
    )
    assert small.pixels[0, ::16, 0].tolist() == [0, 100, 255]
    assert torch.equal(resized.data * 255, (resized.data * 255).round())


def test_narrow_pictures_are_refused() -> None:
    with pytest.raises(BadPicture, match="1 x 3000 pixels: at 1 x 2048"):
        ResizeImage().run(Image(torch.zeros(3, 3000, 1)))
