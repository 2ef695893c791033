from __future__ import annotations

import numpy as np
import torch
from scipy.special import softmax

from ovsskit.engine.values import Logits
from ovsskit.stages.refine.prompt_denoising import PromptDenoising

MAPS = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(3)) * 0.02


def test_texts_of_which_no_place_is_sure_are_ruled_out() -> None:
    best = softmax(100 * MAPS.double().numpy(), axis=0).max((1, 2))
    threshold = float(np.median(best))
    found = PromptDenoising(below=threshold).run(Logits(MAPS, (0, 1, 1, 2, 3, 4)))
    assert isinstance(found, Logits)
    kept = torch.from_numpy(best >= threshold)
    assert 0 < int(kept.sum()) < 6
    assert torch.equal(found.data[kept], MAPS[kept])
    assert bool((found.data[~kept] == -100).all())


def test_the_scale_decides_how_sure_a_place_is() -> None:
    scores = Logits(MAPS, (0, 1, 1, 2, 3, 4))
    assert bool((PromptDenoising(scale=1e-3, below=0.5).run(scores).data == -100).all())
    assert torch.equal(PromptDenoising(scale=1e-3, below=0.1).run(scores).data, MAPS)
