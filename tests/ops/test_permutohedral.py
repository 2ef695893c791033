from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from ovsskit.engine.memo import Memo, remembering
from ovsskit.ops import mean_field as module
from ovsskit.ops.mean_field import build_lattices, mean_field
from ovsskit.ops.permutohedral import Lattice

SIGMAS = {"gaussian_sigma": 3.0, "bilateral_sigma": 50.0, "bilateral_colour_sigma": 5.0}
CRF = {**SIGMAS, "gaussian_weight": 7.0, "bilateral_weight": 10.0}


def photograph(height: int, width: int, seed: int) -> torch.Tensor:
    """Draw shaded discs over each other, with texture and the noise of a sensor."""
    random = np.random.default_rng(seed)
    down, right = np.mgrid[:height, :width]
    image = np.full((height, width, 3), random.uniform(40, 210, 3))
    for _ in range(40):
        y, x, radius = (
            random.uniform(0, height),
            random.uniform(0, width),
            min(height, width) * random.uniform(0.05, 0.3),
        )
        inside = (down - y) ** 2 + (right - x) ** 2 < radius**2
        image[inside] = (
            random.uniform(10, 245, 3) + ((down - y)[inside] * random.normal(0, 0.3))[:, None]
        )
    texture = sum(
        gaussian_filter(random.normal(size=(height, width)), sigma) * sigma * 8
        for sigma in (1, 3, 9)
    )
    image = (
        gaussian_filter(image, (0.7, 0.7, 0))
        + texture[..., None]
        + random.normal(0, 3, image.shape)
    )
    return torch.tensor(image.clip(0, 255).astype(np.uint8))


def soft_masks(
    classes: int, height: int, width: int, seed: int, sharpness: float = 2.0
) -> torch.Tensor:
    """Draw smooth random probabilities; with a sharpness of 20 they are nearly binary."""
    random = np.random.default_rng(seed)
    maps = [
        gaussian_filter(random.normal(size=(height, width)), min(height, width) * 0.06)
        for _ in range(classes)
    ]
    scores = np.stack(maps) / np.std(maps) * sharpness + random.normal(
        0, 0.05, (classes, height, width)
    )
    return torch.tensor(scores, dtype=torch.float32).softmax(0)


def reference(probabilities: torch.Tensor, pixels: torch.Tensor, steps: int) -> torch.Tensor:
    """Run pydensecrf with the parameters of `CRF`."""
    densecrf = pytest.importorskip(
        "pydensecrf.densecrf", reason="the reference needs the extra `crf`"
    )
    classes, height, width = probabilities.shape
    model = densecrf.DenseCRF2D(width, height, classes)
    model.setUnaryEnergy(-probabilities.clamp(1e-5, 1).log().flatten(1).contiguous().numpy())
    model.addPairwiseGaussian(sxy=3, compat=7)
    model.addPairwiseBilateral(sxy=50, srgb=5, rgbim=pixels.numpy(), compat=10)
    return torch.tensor(np.array(model.inference(steps))).view(classes, height, width)


@pytest.mark.parametrize(
    ("classes", "height", "width", "sharpness"),
    [
        (2, 150, 200, 2),
        (5, 121, 163, 0.3),
        (21, 150, 201, 2),
        (21, 99, 101, 20),
        (60, 80, 90, 2),
        (1, 30, 41, 1),
    ],
)
def test_agrees_with_pydensecrf(classes: int, height: int, width: int, sharpness: float) -> None:
    pixels = photograph(height, width, seed=classes)
    probabilities = soft_masks(classes, height, width, seed=height, sharpness=sharpness)
    once = mean_field(probabilities, pixels, steps=1, **CRF)
    assert (once - reference(probabilities, pixels, 1)).abs().max() <= 1e-5
    marginals, expected = (
        mean_field(probabilities, pixels, steps=10, **CRF),
        reference(probabilities, pixels, 10),
    )
    difference = (marginals - expected).abs()
    assert (marginals.argmax(0) == expected.argmax(0)).float().mean() >= 0.9999
    assert difference.mean() <= 1e-6
    assert (difference.amax(0) <= 1e-3).float().mean() >= 0.999


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    height=st.integers(1, 33),
    width=st.integers(1, 33),
    classes=st.integers(1, 18),
    colour=st.integers(0, 255),
)
def test_any_size_and_plain_or_noisy_images(
    height: int, width: int, classes: int, colour: int
) -> None:
    noise = torch.from_numpy(
        np.random.default_rng(colour).integers(0, 256, (height, width, 3), dtype=np.uint8)
    )
    pixels = noise if colour % 2 else torch.full_like(noise, colour)
    probabilities = torch.randn(
        classes, height, width, generator=torch.Generator().manual_seed(colour)
    ).softmax(0)
    marginals = mean_field(probabilities, pixels, steps=2, **CRF)
    torch.testing.assert_close(marginals.sum(0), torch.ones(height, width))
    assert (marginals - reference(probabilities, pixels, 2)).abs().max() <= 1e-4


def test_weights_whose_powers_no_float_holds() -> None:
    pixels, probabilities = photograph(40, 51, seed=11), soft_masks(4, 40, 51, seed=12)
    heavy = {**CRF, "gaussian_weight": 400.0, "bilateral_weight": 300.0}
    marginals = mean_field(probabilities, pixels, steps=1, **heavy)
    first = probabilities.clamp(1e-5, 1)
    first = (first / first.sum(0)).flatten(1)
    kernels = build_lattices(pixels, **SIGMAS)
    logits = sum(
        lattice.filter(first) * weight
        for lattice, weight in zip(kernels, (400, 300), strict=True)
        if lattice
    )
    expected = (
        (logits + probabilities.clamp(1e-5, 1).log().flatten(1)).softmax(0).view_as(marginals)
    )
    torch.testing.assert_close(marginals, expected, atol=1e-3, rtol=0)


def test_remembered_lattices_are_told_apart_by_images_and_sigmas() -> None:
    images, probabilities = (
        [photograph(30, 40, seed) for seed in (13, 14)],
        soft_masks(3, 30, 40, seed=15),
    )
    settings = [CRF, {**CRF, "gaussian_sigma": 2.0}, {**CRF, "bilateral_colour_sigma": 9.0}]
    memo = Memo(1 << 30)
    for _ in range(2):
        for pixels in images:
            for chosen in settings:
                with remembering(memo):
                    kept = mean_field(probabilities, pixels, steps=2, **chosen)
                assert torch.equal(kept, mean_field(probabilities, pixels, steps=2, **chosen))


def test_filters_like_a_gaussian() -> None:
    place = torch.cartesian_prod(torch.arange(24.0), torch.arange(30.0)) / 4
    features = torch.cat([place, photograph(24, 30, seed=1).flatten(0, 1) / 60], 1)
    for used in (features[:, :2], features):
        kernel = (-(torch.cdist(used, used) ** 2) / 2).exp()
        norm = kernel.sum(1).rsqrt()
        values = soft_masks(3, 24, 30, seed=2).flatten(1)
        expected = values * norm @ kernel * norm
        error = (Lattice.build(used).filter(values) - expected).abs()
        assert error.max() < 0.1
        assert error.mean() < 0.02


def test_classes_are_treated_alike() -> None:
    pixels, probabilities = photograph(40, 51, seed=3), soft_masks(6, 40, 51, seed=4)
    marginals = mean_field(probabilities, pixels, steps=5, **CRF)
    order = torch.tensor([3, 5, 0, 1, 4, 2])
    torch.testing.assert_close(
        mean_field(probabilities[order], pixels, steps=5, **CRF), marginals[order]
    )
    uniform = torch.full((7, 40, 51), 1 / 7)
    torch.testing.assert_close(mean_field(uniform, pixels, steps=5, **CRF), uniform)


def test_a_kernel_without_weight_or_sigma_is_left_out() -> None:
    pixels, probabilities = photograph(30, 40, seed=5), soft_masks(3, 30, 40, seed=6)
    no_weight = mean_field(probabilities, pixels, steps=3, **{**CRF, "bilateral_weight": 0.0})
    no_sigma = mean_field(probabilities, pixels, steps=3, **{**CRF, "bilateral_colour_sigma": 0.0})
    assert torch.equal(no_weight, no_sigma)
    assert not torch.equal(no_weight, mean_field(probabilities, pixels, steps=3, **CRF))
    alone = mean_field(
        probabilities, pixels, steps=3, **{**CRF, "bilateral_weight": 0.0, "gaussian_sigma": 0.0}
    )
    torch.testing.assert_close(alone, probabilities, atol=1e-5, rtol=0)


def test_lattices_serve_again_and_inputs_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, probabilities = photograph(40, 50, seed=7), soft_masks(19, 40, 50, seed=8)
    before = probabilities.clone()
    expected = mean_field(probabilities, pixels, steps=4, **CRF)
    lattices = build_lattices(pixels, **SIGMAS)
    assert torch.equal(
        mean_field(probabilities, pixels, steps=4, **CRF, lattices=lattices), expected
    )
    monkeypatch.setattr(module, "LARGEST_TABLE", 5 * 4000)
    in_parts = mean_field(probabilities, pixels, steps=4, **CRF, lattices=lattices)
    torch.testing.assert_close(in_parts, expected, atol=1e-6, rtol=0)
    assert torch.equal(probabilities, before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="compares a GPU with the processor")
def test_a_gpu_agrees_with_the_processor() -> None:
    pixels, probabilities = photograph(121, 163, seed=9), soft_masks(5, 121, 163, seed=10)
    expected = mean_field(probabilities, pixels, steps=10, **CRF)
    marginals = mean_field(probabilities.cuda(), pixels.cuda(), steps=10, **CRF)
    assert marginals.device.type == "cuda"
    assert (marginals.cpu().argmax(0) == expected.argmax(0)).float().mean() >= 0.9999
    assert (marginals.cpu() - expected).abs().mean() <= 1e-6
