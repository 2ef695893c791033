from __future__ import annotations

import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling import bilinear

from ovsskit.engine.values import Image
from ovsskit.errors import BadImage
from ovsskit.stages.maps.resize_image import ResizeImage, resize_bytes


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
        with pytest.raises(BadImage):
            stage.run(Image(torch.zeros(3, height, width)))
        return
    resized = stage.run(Image(torch.zeros(3, height, width)))
    assert resized.size == expected
    assert min(resized.size) == short_side or max(resized.size) == 120


@pytest.mark.parametrize("size", [(20, 31), (64, 45), (150, 37)])
def test_against_bilinear_sampling_without_antialiasing(size: tuple[int, int]) -> None:
    """Smaller and larger; colours are whole numbers, within one of the exact ones."""
    noise = torch.rand(3, *size, generator=torch.Generator().manual_seed(1))
    image = Image((noise * 255).round() / 255, "name")
    resized = ResizeImage(short_side=32).run(image)
    exact = bilinear(image.data * 255, resized.size)
    assert resized.name == "name"
    assert torch.equal(resized.data * 255, (resized.data * 255).round())
    assert (resized.data * 255 - exact).abs().max() < 1


@pytest.mark.parametrize(
    ("size", "resized", "digest"),
    [
        ((20, 31), (16, 25), "40965956ec2757b4"),
        ((9, 12), (16, 21), "0a945d29b69d9671"),
        ((40, 34), (20, 17), "02640171caac7d6a"),
    ],
)
def test_bytes_are_those_of_opencv(
    size: tuple[int, int], resized: tuple[int, int], digest: str
) -> None:
    """Digests of what `resize` of OpenCV 5.0 made of an image that follows a rule."""
    y, x, c = torch.meshgrid(*(torch.arange(n) for n in (*size, 3)), indexing="ij")
    pixels = (37 * y * y + 91 * x + 17 * c + 5 * x * y) % 256
    found = resize_bytes(pixels.permute(2, 0, 1).float() / 255, resized)
    stored = Image(found).pixels.numpy().tobytes()
    assert hashlib.sha256(stored).hexdigest()[:16] == digest


def test_narrow_images_are_refused() -> None:
    with pytest.raises(BadImage, match="1 x 3000 pixels: at 1 x 2048"):
        ResizeImage().run(Image(torch.zeros(3, 3000, 1)))
