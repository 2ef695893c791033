from __future__ import annotations

import pytest
import torch

from ovsskit.engine.values import PatchSimilarity, Similarity
from ovsskit.errors import BadValue
from ovsskit.stages.attention.mix_similarity import MixSimilarity
from ovsskit.testing import example


def test_a_share_in_every_block_term_and_head_and_none_for_the_class_token() -> None:
    own, other = example(Similarity), example(PatchSimilarity)
    found = MixSimilarity(weight=0.7, scale=2.2).run(own, other).data
    torch.testing.assert_close(found[..., 0, :], 2.2 * 0.3 * own.data[..., 0, :])
    torch.testing.assert_close(found[..., :, 0], 2.2 * 0.3 * own.data[..., :, 0])
    for row, term, head in ((0, 0, 0), (1, 1, 1)):
        expected = 2.2 * (0.3 * own.data[row, term, head, 1:, 1:] + 0.7 * other.data)
        torch.testing.assert_close(found[row, term, head, 1:, 1:], expected)


def test_patches_alone_are_mixed_as_they_are() -> None:
    own, other = example(Similarity), example(PatchSimilarity)
    patches = Similarity(own.data[..., 1:, 1:], own.layers, own.grid)
    found = MixSimilarity().run(patches, other)
    torch.testing.assert_close(found.data[0, 0, 0], (patches.data[0, 0, 0] + other.data) / 2)


def test_patches_on_another_grid_are_refused() -> None:
    with pytest.raises(BadValue, match="2 x 3 patches"):
        MixSimilarity().run(example(Similarity), PatchSimilarity(torch.eye(6), (2, 3)))
