"""Run images of one size together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ovsskit.engine.values import Image

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
