"""Solve systems of equations by conjugate gradients, many right sides at once.

`steps` says who shares a step length. As the textbook has it (`own`), every right side is a system
for itself, and is left alone once it is solved. PEARL's released code (`shared`) sums its inner
products over all right sides too: it solves one large system, and never stops.
Source: Hestenes & Stiefel 1952; LPOSS (CVPR 2025) and PEARL (arXiv 2603.21528), released codes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ovsskit._lazy import Bool, Float, torch

Steps = Literal["own", "shared"]


def conjugate_gradient(
    operator: Callable[[Float[torch.Tensor, " side *place"]], Float[torch.Tensor, " side *place"]],
    right: Float[torch.Tensor, " side *place"],
    start: Float[torch.Tensor, " side *place"] | None = None,
    *,
    iterations: int,
    steps: Steps = "own",
    tolerance: float = 0.0,
    guard: float = 0.0,
) -> Float[torch.Tensor, " side *place"]:
    """Return what the operator, symmetric and positive definite, turns into the right sides.

    Without a start, the search starts from 0. A right side (with steps of its `own`) is left alone
    once the length of what is missing falls below `tolerance` times its own. `guard` is added to
    what is divided by. Whether all are solved is asked on the processor alone: a GPU would be
    waited for, and the steps that are left change nothing.
    """
    found = torch.zeros_like(right) if start is None else start.clone()
    missing = right.clone() if start is None else right - operator(found)
    direction = missing.clone()
    size = _product(missing, missing, steps)
    enough = tolerance**2 * _product(right, right, steps)
    for _ in range(iterations):
        is_open = (size >= enough) & (size > 0)
        if steps == "own" and right.device.type == "cpu" and not is_open.any():
            break
        image = operator(direction)
        length = _quotient(size, _product(direction, image, steps) + guard, is_open)
        found.addcmul_(direction, length)
        missing.addcmul_(image, length, value=-1)
        before, size = size, _product(missing, missing, steps)
        direction = missing + direction * _quotient(size, before + guard, is_open)
    return found


def _product(
    one: Float[torch.Tensor, " side *place"],
    other: Float[torch.Tensor, " side *place"],
    steps: Steps,
) -> Float[torch.Tensor, " sum *one"]:
    """Return inner products, in a shape that multiplies right sides."""
    over = tuple(range(1 if steps == "own" else 0, one.dim()))
    product: torch.Tensor = (one * other).sum(over, keepdim=True)
    return product


def _quotient(
    above: Float[torch.Tensor, " sum *one"],
    below: Float[torch.Tensor, " sum *one"],
    where: Bool[torch.Tensor, " sum *one"],
) -> Float[torch.Tensor, " sum *one"]:
    """Divide where there is something left to solve; the others get 0."""
    return torch.where(where, above / below, 0.0)
