from __future__ import annotations

import math

import pytest
import torch

from ovsskit.engine.values import PatchSimilarity
from ovsskit.stages.attention.sharpen_affinity import SharpenAffinity
from ovsskit.testing import example


@pytest.mark.parametrize("negatives", ["drop", "keep"])
def test_softmax_of_what_is_more_than_the_mean(negatives: str) -> None:
    given = example(PatchSimilarity)
    stage = SharpenAffinity(shift=1.2, scale=3.0, negatives=negatives)
    found = stage.run(given).data
    mean = sum(float(value) for value in given.data.flatten()) / given.data.numel()
    for row, mine in zip(given.data.tolist(), found, strict=True):
        sharp = [3.0 * (value - 1.2 * mean) for value in row]
        powers = [math.exp(one) if one >= 0 or negatives == "keep" else 0.0 for one in sharp]
        expected = torch.tensor([power / sum(powers) for power in powers])
        torch.testing.assert_close(mine, expected, atol=1e-6, rtol=1e-5)


def test_a_patch_with_no_other_looks_at_itself() -> None:
    """Where patches are alike everywhere, no similarity is 1.2 means."""
    found = SharpenAffinity(shift=1.2).run(PatchSimilarity(torch.ones(4, 4), (2, 2)))
    assert torch.equal(found.data, torch.eye(4))
