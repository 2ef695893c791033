from __future__ import annotations

import torch

from ovsskit.engine.values import Logits, PatchFeatures, Prototypes
from ovsskit.stages.maps.prototype_similarity import PrototypeSimilarity


def test_cosines_one_by_one() -> None:
    generator = torch.Generator().manual_seed(0)
    patches = PatchFeatures(torch.randn(8, 3, 4, generator=generator))
    prototypes = Prototypes(torch.randn(2, 8, generator=generator) * 3, (2, 1))
    found = PrototypeSimilarity().run(patches, prototypes)
    Logits.check(found)
    assert found.labels == (2, 1)
    for index, vector in enumerate(prototypes.data):
        for row in range(3):
            for column in range(4):
                patch = patches.data[:, row, column]
                cosine = float(patch @ vector / (patch.norm() * vector.norm()))
                assert abs(float(found.data[index, row, column]) - cosine) < 1e-6
