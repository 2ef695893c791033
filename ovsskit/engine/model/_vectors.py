"""Hold the law of what gives vectors: each is the same alone as among others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ovsskit._lazy import Float, torch


def check_vectors(
    encode: Callable[[Sequence[Any]], Float[torch.Tensor, "item width"]], items: Sequence[Any]
) -> None:
    """Test that items get finite vectors without a graph, the same alone as among others."""
    together = encode(items)
    assert together.shape[0] == len(items)
    assert not together.requires_grad
    assert together.isfinite().all()
    for vector, item in zip(together, items, strict=True):
        torch.testing.assert_close(encode([item])[0], vector, atol=1e-5, rtol=1e-4)
