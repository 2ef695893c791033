from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch

from ovsskit.engine.memo import Memo, remembering
from ovsskit.engine.values import Confidences, Image, Probabilities
from ovsskit.errors import MissingExtra
from ovsskit.ops.mean_field import mean_field
from ovsskit.stages.refine import dense_crf as module
from ovsskit.stages.refine.dense_crf import DenseCrf, wrap_bytes
from ovsskit.testing import example


def brute_force(scores: Probabilities, image: Image, crf: DenseCrf) -> Any:
    """Mean field with the exact kernels between all pixels, symmetrically normalised."""
    classes, height, width = scores.data.shape
    pixels = image.pixels.reshape(-1, 3).numpy().astype(float)
    places = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1).reshape(
        -1, 2
    )
    apart = ((places[:, None] - places) ** 2).sum(-1)
    unlike = ((pixels[:, None] - pixels) ** 2).sum(-1)
    near = np.exp(-apart / (2 * crf.gaussian_sigma**2))
    alike = np.exp(
        -apart / (2 * crf.bilateral_sigma**2) - unlike / (2 * crf.bilateral_colour_sigma**2)
    )
    kernels = [k / np.sqrt(np.outer(k.sum(0), k.sum(0))) for k in (near, alike)]
    unary = np.log(np.clip(scores.data.reshape(classes, -1).numpy(), 1e-5, 1))
    logits = unary
    for _ in range(crf.steps + 1):
        found = np.exp(logits - logits.max(0))
        found /= found.sum(0)
        logits = (
            unary
            + crf.gaussian_weight * found @ kernels[0]
            + crf.bilateral_weight * found @ kernels[1]
        )
    return found.reshape(classes, height, width)


def test_against_the_exact_kernels() -> None:
    image = Image((torch.linspace(0, 1, 24)[:, None] * torch.linspace(0, 1, 35)).expand(3, -1, -1))
    scores, crf = (
        example(Probabilities),
        DenseCrf(steps=3, gaussian_weight=1.0, bilateral_weight=1.0, bilateral_colour_sigma=30.0),
    )
    found, expected = crf.run(image, scores).data.numpy(), brute_force(scores, image, crf)
    assert np.abs(found - expected).mean() < 0.02
    assert (found.argmax(0) == expected.argmax(0)).mean() > 0.97


def test_both_engines_agree() -> None:
    pytest.importorskip("pydensecrf", reason="pydensecrf2 is not installed")
    ours, theirs = (
        DenseCrf(engine=engine).run(example(Image), example(Probabilities)).data
        for engine in ("torch", "pydensecrf")
    )
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)


def test_no_numbers_come_back_as_they_are() -> None:
    scores = example(Probabilities)
    broken = scores.with_data(torch.full_like(scores.data, torch.nan))
    assert DenseCrf().run(example(Image), broken).data is broken.data


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    with pytest.raises(MissingExtra, match="not installed") as caught:
        DenseCrf(engine="pydensecrf").run(example(Image), example(Probabilities))
    assert 'pip install "ovsskit[crf]"' in str(caught.value)


def test_an_image_larger_than_the_maps_is_reduced_to_them() -> None:
    small, scores = example(Image), example(Probabilities)
    large = Image(small.data.repeat_interleave(2, 1).repeat_interleave(2, 2))
    found, expected = DenseCrf().run(large, scores).data, DenseCrf().run(small, scores).data
    assert found.shape == scores.data.shape
    assert (found.argmax(0) == expected.argmax(0)).float().mean() > 0.9


def test_the_image_is_reduced_with_antialiasing() -> None:
    """Stripes as fine as a pixel become an even grey, whichever pixel of them is hit."""
    stripes = Image((torch.arange(40) % 2).float().expand(3, 40, 40).contiguous())
    pixels = DenseCrf()._pixels(stripes, 10, 10)
    assert (pixels[1:-1, 1:-1].int() - 127).abs().max() <= 1
    ramp = Image(torch.linspace(0, 1, 40).expand(3, 40, 40).contiguous())
    means = (torch.linspace(0, 255, 40).view(10, 4).mean(1)).round().int()
    inner = slice(1, -1)  # at the edges fewer pixels count
    assert (DenseCrf()._pixels(ramp, 10, 10)[5, inner, 0].int() - means[inner]).abs().max() <= 1


def test_equal_probabilities_are_refined_once(monkeypatch: pytest.MonkeyPatch) -> None:
    refined: list[dict[str, Any]] = []

    def watch(*of: Any, **settings: Any) -> Any:
        refined.append(settings)
        return mean_field(*of, **settings)

    monkeypatch.setattr(module, "mean_field", watch)
    image, scores, crf = example(Image), example(Probabilities), DenseCrf(steps=2)
    alone = crf.run(image, scores).data
    memo = Memo(1 << 26)
    with remembering(memo):
        for _ in range(2):
            again = DenseCrf(steps=2, name="other").run(
                image, scores.with_data(scores.data.clone())
            )
            assert torch.equal(again.data, alone)
    assert len(refined) == 2, "once without a memo, and once with it"
    others = [
        DenseCrf(steps=3),
        DenseCrf(steps=2, gaussian_weight=1.0),
        DenseCrf(steps=2, bilateral_weight=1.0),
        DenseCrf(steps=2, gaussian_sigma=4.0),
        DenseCrf(steps=2, bilateral_sigma=40.0),
        DenseCrf(steps=2, bilateral_colour_sigma=6.0),
    ]
    with remembering(memo):
        for one in others:
            assert torch.equal(one.run(image, scores).data, one.run(image, scores).data)
        crf.run(image, scores.with_data(scores.data.flip(0)))
        crf.run(Image(1 - image.data), scores)
    assert len(refined) == 2 + len(others) + 2


def test_what_confidences_are_in_proportion_counts() -> None:
    image, given = example(Image), example(Probabilities)
    larger = Confidences(given.data / given.data.amax(0), given.labels)
    stage = DenseCrf(steps=2)
    found, expected = stage.run(image, larger), stage.run(image, given)
    assert isinstance(found, Probabilities)
    torch.testing.assert_close(found.data, expected.data, atol=1e-4, rtol=0)


def test_bytes_below_the_mean_wrap_round() -> None:
    pixels = torch.tensor([[[104, 116, 255], [105, 0, 122], [103, 117, 123]]], dtype=torch.uint8)
    assert wrap_bytes(pixels).tolist() == [[[0, 0, 132], [0, 140, 0], [255, 0, 0]]]
    image = Image(torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0)))
    seen = DenseCrf(channels="bgr_wrapped")._pixels(image, 4, 5)
    assert torch.equal(seen, wrap_bytes(image.pixels.flip(-1)))
