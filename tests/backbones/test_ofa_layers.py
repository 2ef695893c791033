from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from ovsskit.backbones.ofa._layers import attend


def example(count: int, masked: bool) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    shapes = ((count, 3, 5, 4), (count, 3, 7, 4), (count, 3, 7, 4), (1, 3, 5, 7))
    tensors = [torch.randn(shape, dtype=torch.float64, generator=draw) for shape in shapes]
    if masked:
        tensors[3] = tensors[3].masked_fill(torch.ones(5, 7, dtype=torch.bool).triu(1), -torch.inf)
    return tensors


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_are_those_of_torchs_attention(masked: bool) -> None:
    mine, theirs = ([one.requires_grad_() for one in example(4, masked)] for _ in range(2))
    weights = torch.randn(
        4, 3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    (attend(*mine, 0.3) * weights).sum().backward()  # type: ignore[call-arg]
    (
        scaled_dot_product_attention(theirs[0], theirs[1], theirs[2], theirs[3], scale=0.3)
        * weights
    ).sum().backward()
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_weights_are_not_kept_for_the_way_back() -> None:
    kept: list[torch.Tensor] = []
    tensors = [one.requires_grad_() for one in example(50, False)]
    with torch.autograd.graph.saved_tensors_hooks(
        lambda one: kept.append(one) or one, lambda one: one
    ):  # type: ignore[func-returns-value]
        attend(*tensors, 0.3)  # type: ignore[call-arg]
    assert (50, 3, 5, 7) not in [tuple(one.shape) for one in kept]
