"""Remember what later trials need again, such as the lattices of an image's dense CRF.

Whoever runs several candidates on the same images opens a memo; without one, everything is computed
when it is asked for, and no digest of an image is taken.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar, runtime_checkable

from ovsskit._lazy import torch
from ovsskit.engine.digests import digest_tensor


@runtime_checkable
class SaysItsBytes(Protocol):
    """Promise the number of bytes that something takes in memory, as tensors do."""

    @property
    def nbytes(self) -> int:
        """Return how much memory it takes."""


T = TypeVar("T", bound=SaysItsBytes)


class Memo:
    """Keep values by key, up to a number of bytes; what was not used for longest goes first.

    `hits` counts the values that were known, `misses` those that were computed.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self.hits = self.misses = 0
        self._values: OrderedDict[Hashable, Any] = OrderedDict()

    def find(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return the value of a key, computed now or before; one above the limit is not kept."""
        if key in self._values:
            self._values.move_to_end(key)
            self.hits += 1
            kept: T = self._values[key]
            return kept
        self.misses += 1
        value = compute()
        if value.nbytes <= self.limit:
            self._values[key] = value
            self.size += value.nbytes
            while self.size > self.limit:
                self.size -= self._values.popitem(last=False)[1].nbytes
        return value


_open: ContextVar[Memo | None] = ContextVar("memo", default=None)


@contextmanager
def remembering(memo: Memo) -> Iterator[None]:
    """Let `remember` keep in this memo what is computed in this context, and look there first."""
    token = _open.set(memo)
    try:
        yield
    finally:
        _open.reset(token)


def remember(key: tuple[Any, ...], compute: Callable[[], T]) -> T:
    """Return what was computed under a key in this context before, or compute it.

    The key names what is computed, and all that it follows from. A tensor in it stands for its
    content and its device. What comes back is shared, so nobody may change it.
    """
    memo = _open.get()
    return compute() if memo is None else memo.find(tuple(map(_hashable, key)), compute)


def _hashable(part: Any) -> Hashable:
    if isinstance(part, torch.Tensor):
        return str(part.device), digest_tensor(part)
    hashable: Hashable = part
    return hashable
