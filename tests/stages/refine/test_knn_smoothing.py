from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.distance import cdist

from ovsskit.engine.values import PatchFeatures, Probabilities
from ovsskit.stages.refine.knn_smoothing import KnnSmoothing

RANDOM = torch.Generator().manual_seed(5)
SCORES = Probabilities(torch.rand(3, 4, 5, generator=RANDOM).softmax(0), (1, 2, 3))
FEATURES = PatchFeatures(torch.randn(6, 4, 5, generator=RANDOM))


def test_against_scipy() -> None:
    flat = FEATURES.data.flatten(1).T.numpy()
    near = cdist(flat, flat, "cosine").argsort(1)[:, :4]
    expected = SCORES.data.flatten(1).T.numpy()
    for _ in range(6):
        expected = expected[near].mean(1)
    found = KnnSmoothing(neighbours=4, rounds=6).run(SCORES, FEATURES)
    assert isinstance(found, Probabilities)
    np.testing.assert_allclose(found.data.flatten(1).T.numpy(), expected, atol=1e-6)


def test_one_neighbour_or_no_round_changes_nothing() -> None:
    for stage in (KnnSmoothing(neighbours=1), KnnSmoothing(rounds=0)):
        torch.testing.assert_close(stage.run(SCORES, FEATURES).data, SCORES.data)


def test_more_neighbours_than_patches_are_all() -> None:
    found = KnnSmoothing(neighbours=99, rounds=1).run(SCORES, FEATURES).data
    torch.testing.assert_close(found, SCORES.data.mean((1, 2), keepdim=True).expand_as(found))


def test_maps_of_another_grid_come_to_that_of_the_features() -> None:
    large = Probabilities(torch.rand(3, 8, 10, generator=RANDOM).softmax(0), (1, 2, 3))
    found = KnnSmoothing().run(large, FEATURES).data
    assert found.shape == (3, 4, 5)
    torch.testing.assert_close(found.sum(0), torch.ones(4, 5))
