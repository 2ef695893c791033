"""Compare with a recording as nearly as single precision allows, on whichever processor.

A recording is a run in single precision, and so is ours: neither is exact, and how far they are
from each other depends on the processor. So what we compute is computed once more in double
precision. How far our own single precision lies from that is the floor, and ours may differ from
the recording by `MARGIN` times the floor. The recording has no say in the floor: a wrong
computation is equally wrong in both precisions, and does not raise it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
import torch

from ovsskit.engine.model import PretrainedBackbone

T = TypeVar("T")
MARGIN = 8.0
"""How many floors may lie between ours and a recording. Recordings are 0.2 to 4 floors from the
double-precision run.
"""
STEP = 2.0**-24
"""Half of the distance between 1 and the next number of single precision."""
LEAST, MOST = 4 * STEP, 1e-2
"""The smallest floor, and the largest difference that is let through, as shares of the largest
recorded value.
"""
FEW, LEAST_OF_FEW = 64, 32 * STEP
"""Fewer values than this may all be exact by chance: they have a smallest floor of their own."""


@contextmanager
def in_double() -> Iterator[None]:
    """Let backbones and stages that are made meanwhile compute in double precision."""
    standard = torch.get_default_dtype()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        patch.setattr(PretrainedBackbone, "dtype", property(lambda backbone: torch.float64))
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(standard)


@dataclass(frozen=True)
class Twice:
    """Hold what was computed in single precision, and the same in double precision."""

    single: Any
    double: Any

    @classmethod
    def of(cls, compute: Callable[[], Any]) -> Twice:
        """Compute in both precisions."""
        single = compute()
        with in_double():
            return cls(single, compute())

    def map(self, change: Callable[[Any], Any]) -> Twice:
        """Return a part of both, or what is made of them."""
        single = change(self.single)
        with in_double():
            return Twice(single, change(self.double))

    def floor(self) -> float:
        """Return the largest difference between the two precisions, relative where
        values exceed 1.
        """
        return largest(self.single, self.double)


def largest(values: torch.Tensor, exact: torch.Tensor) -> float:
    """Return the largest difference of finite values, relative where they exceed 1."""
    assert values.shape == exact.shape
    there = values.isfinite() & exact.isfinite()
    exact = exact[there].double()
    differences = (values[there].double() - exact).abs() / exact.abs().clamp(min=1)
    return float(differences.max()) if differences.numel() else 0.0


def check(ours: Twice, theirs: torch.Tensor, name: str = "") -> None:
    """Hold our single-precision values to a recording."""
    check_values(ours.single, theirs, ours.floor(), name)


def check_alike(compared: Sequence[tuple[Twice, torch.Tensor, str]]) -> None:
    """Hold values that are computed alike, such as of several pictures, to their recordings.

    Their floors, as shares of the largest value, are one: that of a single picture may be small by
    chance.
    """
    shares = [ours.floor() / size_of(theirs) for ours, theirs, _ in compared if size_of(theirs)]
    for ours, theirs, name in compared:
        check_values(ours.single, theirs, max(shares, default=0.0) * size_of(theirs), name)


def size_of(theirs: torch.Tensor) -> float:
    """Return the largest recorded value, at most 1."""
    values = theirs[theirs.isfinite()].abs()
    return min(float(values.max()), 1.0) if values.numel() else 0.0


def check_values(ours: torch.Tensor, theirs: torch.Tensor, floor: float, name: str = "") -> None:
    """Hold values to a recording whose floor is known from elsewhere.

    A difference of a hundredth of the largest value would check nothing, and is an error.
    """
    size, few = size_of(theirs), int(theirs.isfinite().sum()) < FEW
    allowed = MARGIN * max(floor, size * (LEAST_OF_FEW if few else LEAST))
    assert allowed <= MOST * size, f"{name}: the floor is {floor:.1e}, the largest value {size:.1e}"
    assert ours.shape == theirs.shape, name
    assert torch.equal(ours.isfinite(), theirs.isfinite()), name
    found = largest(ours, theirs)
    assert found <= allowed, f"{name}: {found:.2e} from the recording, {allowed:.2e} allowed"


def check_all(ours: Twice, theirs: Mapping[str, torch.Tensor]) -> None:
    """Hold everything that was computed and recorded, by name, to the recording; nothing in common
    is an error.
    """
    names = [name for name in ours.single if name in theirs]
    assert names
    for name in names:
        check(ours.map(lambda made, name=name: made[name]), theirs[name], name)
