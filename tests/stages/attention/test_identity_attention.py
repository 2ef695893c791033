from __future__ import annotations

import torch

from ovsskit.engine.values import Hidden
from ovsskit.stages.attention.attend import Attend
from ovsskit.stages.attention.identity_attention import IdentityAttention
from ovsskit.testing import ToyBackbone, example


def test_patches_keep_their_own_values() -> None:
    toy, hidden = ToyBackbone(), example(Hidden)
    found = IdentityAttention().run(hidden, toy)
    assert found.layers == (12,)
    attended = Attend(residual=False, feed_forward=False).run(hidden, found, toy)
    values = toy.join_heads(12, toy.project(hidden, 12)[2])
    torch.testing.assert_close(attended.data.flatten(1).T, values[1:])
