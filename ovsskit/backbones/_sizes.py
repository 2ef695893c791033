"""Run images of one size together, through blocks that are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ovsskit.engine.values import Image
from ovsskit.errors import BadValue

T = TypeVar("T")


def run_by_size(images: Sequence[Image], run: Callable[[Sequence[Image]], Sequence[T]]) -> list[T]:
    """Return what `run` gives for images, called for those of each size together."""
    sizes: dict[tuple[int, int], list[int]] = {}
    for index, image in enumerate(images):
        sizes.setdefault(image.size, []).append(index)
    found: dict[int, T] = {}
    for indices in sizes.values():
        alike = run([images[index] for index in indices])
        found.update(zip(indices, alike, strict=True))
    return [found[index] for index in range(len(images))]


def need_blocks(layers: Sequence[int], count: int) -> tuple[int, ...]:
    """Return blocks (numbers from 1) in ascending order, each once.

    Raises:
        BadValue: none is asked for, or the network has no such block.
    """
    wanted = tuple(sorted(set(layers)))
    if not wanted or wanted[0] < 1 or wanted[-1] > count:
        asked = ", ".join(map(str, wanted))
        raise BadValue(f"Layers {asked} are asked for; the model has 1 to {count}.")
    return wanted
