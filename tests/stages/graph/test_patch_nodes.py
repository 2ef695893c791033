from __future__ import annotations

import torch

from ovsskit.engine.values import GuideFeatures, Image, Logits
from ovsskit.stages.graph.patch_nodes import PatchNodes


def test_nodes_are_the_patches_of_the_guide_row_by_row() -> None:
    scores = Logits(torch.rand(2, 3, 4), (0, 1))
    guide = GuideFeatures(torch.rand(5, 3, 4))
    nodes = PatchNodes().run(Image(torch.rand(3, 24, 40)), scores, guide)
    assert torch.equal(nodes.data[:, 5], scores.data[:, 1, 1])
    assert torch.equal(nodes.vectors[5], guide.data[:, 1, 1])
    assert nodes.labels == (0, 1)
    assert torch.equal(nodes.places[5], torch.tensor([12.0, 15.0]))


def test_scores_on_another_grid_are_resized() -> None:
    scores = Logits(torch.rand(2, 3, 4), (0, 1))
    guide = GuideFeatures(torch.rand(5, 6, 8))
    nodes = PatchNodes().run(Image(torch.rand(3, 24, 32)), scores, guide)
    expected = torch.nn.functional.interpolate(scores.data[None], (6, 8), mode="bilinear")[0]
    assert torch.equal(nodes.data, expected.flatten(1))
