from __future__ import annotations

import torch

from ovsskit.engine.values import Image
from ovsskit.stages.regions.propose_masks import ProposeMasks
from ovsskit.testing import ToyBackbone


def test_every_image_gets_what_the_model_proposes() -> None:
    model, images = ToyBackbone(), [Image.example(0), Image.example(1)]
    proposed = model.propose_masks(images)
    for ours, theirs in zip(ProposeMasks().run_batch(images, model), proposed, strict=True):
        assert torch.equal(ours.data, theirs.data)
        assert torch.equal(ours.scores, theirs.scores)
