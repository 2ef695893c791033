"""Test a stage of one's own: pytest test_sharpen.py, beside sharpen.py."""

from __future__ import annotations

import torch
from sharpen import Sharpen

from ovsskit import Probabilities
from ovsskit.testing import check_stage, example


def test_sharpen_keeps_the_contract() -> None:
    """Run the contract of stages."""
    check_stage(Sharpen(power=3))


def test_sharpen_keeps_the_winner_and_makes_it_surer() -> None:
    """Keep the best class of every place, with a higher score."""
    scores = example(Probabilities)
    sharp = Sharpen().run(scores)
    assert torch.equal(sharp.data.argmax(0), scores.data.argmax(0))
    assert bool((sharp.data.amax(0) >= scores.data.amax(0)).all())
