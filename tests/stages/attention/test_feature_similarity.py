from __future__ import annotations

import torch

from ovsskit.engine.values import GuideFeatures
from ovsskit.stages.attention.feature_similarity import FeatureSimilarity
from ovsskit.testing import example


def test_cosines_against_a_loop() -> None:
    features = example(GuideFeatures)
    found = FeatureSimilarity().run(features)
    assert found.grid == features.grid
    columns = features.grid[1]
    for one in range(len(found.data)):
        for other in range(len(found.data)):
            a, b = (features.data[:, place // columns, place % columns] for place in (one, other))
            cosine = torch.nn.functional.cosine_similarity(a, b, dim=0)
            torch.testing.assert_close(found.data[one, other], cosine, atol=1e-6, rtol=1e-5)


def test_features_of_length_0_are_like_nothing() -> None:
    found = FeatureSimilarity().run(GuideFeatures(torch.zeros(3, 2, 2)))
    assert not found.data.any()
