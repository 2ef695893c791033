from __future__ import annotations

import pytest
import torch

from ovsskit.ops.co_segmentation import Columns, common_prototype, nearest, without_context

COUNT, PATCHES, WIDTH = 4, 5, 8


def noise(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(one @ other / (one.norm() * other.norm()))


@pytest.mark.parametrize("columns", ["own", "released"])
def test_support_patch_by_patch(columns: Columns) -> None:
    features, weights = noise(COUNT, PATCHES, WIDTH), noise(COUNT, PATCHES, seed=1).sigmoid()
    flat = [(features[i, p], float(weights[i, p])) for i in range(COUNT) for p in range(PATCHES)]
    found = common_prototype(features, weights, columns)
    for image in range(COUNT):
        for patch in range(PATCHES):
            best = []
            for other in range(COUNT):
                start = other * PATCHES
                length = PATCHES if columns == "own" else (other + 1) * PATCHES
                seen = flat[start : start + length]
                best.append(max(cosine(features[image, patch], one) * w for one, w in seen))
            assert float(found.support[image, patch]) == pytest.approx(sum(best) / COUNT)
    seeds = found.support.argmax(1)
    assert torch.equal(found.seeds, seeds)
    mean = torch.stack([features[i, seed] for i, seed in enumerate(seeds)]).mean(0)
    torch.testing.assert_close(found.prototype, mean / mean.norm())


def test_what_images_share_is_found_among_what_they_do_not() -> None:
    shared = noise(WIDTH, seed=3)
    features = noise(COUNT, PATCHES, WIDTH)
    for image in range(COUNT):
        features[image, image] = shared + 0.01 * noise(WIDTH, seed=image)
    found = common_prototype(features, torch.ones(COUNT, PATCHES, dtype=torch.float64))
    assert found.seeds.tolist() == [0, 1, 2, 3]
    assert cosine(found.prototype, shared) > 0.999


def test_context_takes_weight_from_what_is_like_it() -> None:
    features, context = noise(COUNT, PATCHES, WIDTH), noise(2, WIDTH, seed=2)
    weights = noise(COUNT, PATCHES, seed=1).sigmoid()
    found = without_context(weights, features, context)
    expected = weights.clone()
    for image in range(COUNT):
        for patch in range(PATCHES):
            for vector in context:
                likeness = torch.tensor(cosine(features[image, patch], vector))
                expected[image, patch] *= 1 - likeness.sigmoid()
    torch.testing.assert_close(found, expected)
    assert torch.equal(without_context(weights, features, context[:0]), weights)


def test_nearest_come_best_first_and_are_all_where_there_are_few() -> None:
    vectors = torch.eye(3)
    query = torch.tensor([0.2, 0.9, 0.5])
    assert nearest(vectors, query, 2) == [1, 2]
    assert nearest(vectors, query, 50) == [1, 2, 0]
