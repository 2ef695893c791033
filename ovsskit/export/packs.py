"""Cut a stream of parts into files of bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from ovsskit.export.format import Part


def packs(parts: Iterable[Part], most: int) -> Iterator[Iterator[Part]]:
    """Yield the parts in groups of at most this many; each is to be read before the next.

    There is at least one group, which may be empty.
    """
    rest = iter(parts)
    yield islice(rest, most)
    for first in rest:
        yield _chained(first, islice(rest, most - 1))


def _chained(first: Part, rest: Iterator[Part]) -> Iterator[Part]:
    yield first
    yield from rest
