"""Cut a mask into runs of equal numbers, once for all of its classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ovsskit._lazy import Int, numpy


@dataclass(frozen=True)
class Runs:
    """Hold where the runs of one class begin and end, in a mask read line after line.

    `size` is how many pixels the mask has.
    """

    starts: Int[numpy.ndarray, " run"]
    ends: Int[numpy.ndarray, " run"]
    size: int

    @property
    def area(self) -> int:
        """Return how many pixels the class has."""
        return int((self.ends - self.starts).sum())

    def counts(self) -> tuple[int, ...]:
        """Return the lengths of runs outside and inside the class by turns, outside first.

        Their sum is the size of the mask.
        """
        edges = numpy.stack([self.starts, self.ends], 1).ravel()
        lengths = numpy.diff(edges, prepend=0, append=self.size)
        kept = lengths if lengths[-1] else lengths[:-1]
        return tuple(kept.tolist())

    def box(self, length: int) -> tuple[int, int, int, int]:
        """Return left, top, width and height, where lines are columns of `length` pixels."""
        first, last = self.starts // length, (self.ends - 1) // length
        left, right = int(first.min()), int(last.max())
        if (first != last).any():  # a run that goes on in the next column touches both ends
            return left, 0, right - left + 1, length
        top, bottom = int((self.starts % length).min()), int(((self.ends - 1) % length).max())
        return left, top, right - left + 1, bottom - top + 1


def class_runs(mask: Int[numpy.ndarray, "line pixel"]) -> Iterator[tuple[int, Runs]]:
    """Yield each number that a mask holds, from the lowest up, with its runs.

    Runs go on from one line to the next; give the mask turned for runs down the columns.
    """
    flat = mask.ravel()
    starts = numpy.concatenate([[0], numpy.flatnonzero(flat[1:] != flat[:-1]) + 1])
    ends = numpy.append(starts[1:], flat.size)
    order = numpy.argsort(flat[starts], kind="stable")
    numbers, firsts = numpy.unique(flat[starts][order], return_index=True)
    for number, places in zip(numbers.tolist(), numpy.split(order, firsts[1:]), strict=True):
        yield number, Runs(starts[places], ends[places], flat.size)
