"""Bring tensors and numbers to a device, and pick rows there, without waiting for the device.

A GPU works behind the program. `x.to(device)`, `torch.tensor(numbers, device=device)` and
`x[[1, 4]]` all wait until it has done what it was given; what is written here does not.
"""

from __future__ import annotations

from collections.abc import Sequence

from ovsskit._lazy import Float, Int, torch

PINNED_BYTES = 1 << 16
"""From this size on a tensor goes through memory that a GPU reads by itself; smaller ones are
copied into the command."""


def send(tensor: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """Return a tensor on a device; from the processor to a GPU it travels behind the program.

    What comes back to the processor is waited for. Apple's GPUs are waited for, too.
    """
    target = torch.device(device)
    if target.type in ("cpu", "mps") or tensor.device.type != "cpu":
        return tensor.to(target)
    if target.type == "cuda" and tensor.nbytes >= PINNED_BYTES:
        tensor = tensor.pin_memory(target)
    return tensor.to(target, non_blocking=True)


def send_numbers(
    numbers: Sequence[float] | Sequence[Sequence[float]], like: Float[torch.Tensor, "..."]
) -> Float[torch.Tensor, "..."]:
    """Return numbers as a tensor of the type and on the device of another."""
    return send(torch.tensor(numbers, dtype=like.dtype), like.device)


def send_places(places: Sequence[int], device: torch.device | str) -> Int[torch.Tensor, " place"]:
    """Return whole numbers, which may name rows or columns, on a device."""
    return send(torch.tensor(list(places), dtype=torch.int64), device)


def pick(tensor: torch.Tensor, places: Sequence[int], axis: int = 0) -> torch.Tensor:
    """Return the rows of a tensor that are named, in this order; or columns, by the axis."""
    return tensor.index_select(axis, send_places(places, tensor.device))
