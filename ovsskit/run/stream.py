"""Run a pipeline over many images: others are read while the network works.

Memory stays bounded: images go through in groups of `batch`, fewer where they are large, and about
one group is read ahead. An image that fails does not stop the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from ovsskit.engine.driver import State, Watch
from ovsskit.engine.values import Image, Vocabulary
from ovsskit.errors import MissingExtra, OvsskitError, reason_of
from ovsskit.run.groups import GROUP_PIXELS
from ovsskit.run.pipeline import Pipeline

READERS = 2

SAME_FAILURES = 5
"""After so many failures in a row that are not an image's own the run stops: then it is the recipe
that fails."""

T = TypeVar("T")


def together(item: object) -> bool:
    """Say that no image needs a group of its own."""
    return False


def unwatched(group: Sequence[object]) -> None:
    """Watch nothing."""


@dataclass
class Stream(Generic[T]):
    """Read what stands for images with `read`, and run a pipeline on them in groups.

    `fail` is told which could not be done, and why. `alone` says which need a group of their own.
    `watch` is asked before each group for what shall hear of its stages. With `timed` the device is
    waited for after each stage.
    """

    pipeline: Pipeline
    vocabulary: Vocabulary
    read: Callable[[T], Image]
    fail: Callable[[T, str], None]
    alone: Callable[[T], bool] = together
    watch: Callable[[Sequence[T]], Watch | None] = unwatched
    timed: bool = False
    _failures: int = 0

    def run(self, todo: Iterable[T]) -> Iterator[list[tuple[T, Image, State]]]:
        """Yield the images of a group, each with all slots, and go on when they are dealt with.

        Raises:
            OvsskitError: the recipe cannot be run at all, for example because weights are missing.
        """
        pool = ThreadPoolExecutor(READERS, "read")
        try:
            for group in self._groups(todo, pool):
                yield from self._segment(group)
        finally:
            pool.shutdown(cancel_futures=True)

    def _groups(
        self, todo: Iterable[T], pool: ThreadPoolExecutor
    ) -> Iterator[list[tuple[T, Image]]]:
        """Yield images in groups; what cannot be read is told and left out."""
        group: list[tuple[T, Image]] = []
        pixels = 0
        for item, image in self._read_ahead(todo, pool):
            size = image.size[0] * image.size[1]
            alone = self.alone(item)
            if group and (alone or pixels + size > GROUP_PIXELS):
                yield group
                group, pixels = [], 0
            group.append((item, image))
            pixels += size
            if alone or len(group) == self.pipeline.batch:
                yield group
                group, pixels = [], 0
        if group:
            yield group

    def _read_ahead(self, todo: Iterable[T], pool: ThreadPoolExecutor) -> Iterator[tuple[T, Image]]:
        ahead: deque[tuple[T, Future[Image]]] = deque()
        coming = iter(todo)
        while True:
            for item in coming:
                ahead.append((item, pool.submit(self.read, item)))
                if len(ahead) > self.pipeline.batch:
                    break
            if not ahead:
                return
            item, future = ahead.popleft()
            try:
                image = future.result()
            except OvsskitError as error:
                self.fail(item, reason_of(error))
            except MemoryError:
                self.fail(item, "It does not fit into memory.")
            else:
                yield item, image

    def _segment(self, group: Sequence[tuple[T, Image]]) -> Iterator[list[tuple[T, Image, State]]]:
        """Run the pipeline on a group; if that fails, on its images one by one."""
        states = self._states(group)
        if states is not None:
            self._failures = 0
            yield [(*one, state) for one, state in zip(group, states, strict=True)]
        elif len(group) > 1:
            for one in group:
                yield from self._segment([one])

    def _states(self, group: Sequence[tuple[T, Image]]) -> list[State] | None:
        """Return what the pipeline finds in a group, or None; the error, with its tensors, goes."""
        items, images = zip(*group, strict=True)
        watch = self.watch(items)
        try:
            return self.pipeline.run_many(images, self.vocabulary, watch, timed=self.timed)
        except MissingExtra:
            raise
        except (
            Exception
        ) as error:  # stages may be anybody's, and one image's failure shall not stop the others
            if len(group) > 1:
                return None
            self._failures += not (isinstance(error, OvsskitError) and error.status == 1)
            if self._failures == SAME_FAILURES:
                raise
            self.fail(items[0], reason_of(error))
            return None
