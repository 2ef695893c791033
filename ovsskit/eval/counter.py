"""Count predictions against the truth, beside the network, in the order in which they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from ovsskit.datasets.dataset import Dataset, check_size
from ovsskit.datasets.matching import Matching
from ovsskit.errors import CannotWrite, reason_of
from ovsskit.eval.counts import ImageCounts, count_image
from ovsskit.eval.folder import EvalFolder
from ovsskit.eval.pictures import Pictures
from ovsskit.eval.predictions import Prediction, Spot
from ovsskit.eval.totals import Totals
from ovsskit.ops.metrics import mean_iou
from ovsskit.run.output.masks import write_mask

AHEAD = 8
"""How many predictions may wait to be counted: memory is bounded by them."""


@dataclass
class Counter:
    """Count into the totals and the folder; `tell` hears of every image, with the mean IoU so far.

    One thread counts, so that sums do not depend on which image is read first.
    """

    dataset: Dataset
    matching: Matching
    folder: EvalFolder
    totals: Totals
    pictures: Pictures
    save_masks: bool
    tell: Callable[[ImageCounts, float], None]
    in_order: bool = True
    _last: int = -1
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "count"))
    _waiting: deque[Future[None]] = field(default_factory=deque)

    def recall(self) -> None:
        """Add what earlier sessions have counted."""
        for counts in self.folder.read():
            self._add(counts)
            self.pictures.remember(self._score(counts), counts.index)

    def recount(self) -> Totals:
        """Return the sums over all that was counted by now, in the order of the data set.

        Others may have counted, too, and sums of fractions depend on the order.
        """
        self.folder.gather(again=False)
        self.totals = Totals(self.totals.counting)
        self.pictures.forget()
        self.recall()
        self.pictures.drop_others()
        return self.totals

    def count(self, prediction: Prediction) -> None:
        """Have a prediction counted, and wait while too many do."""
        self._waiting.append(self._pool.submit(self._count, prediction))
        self.settle(AHEAD)

    def leave_out(self, spot: Spot, reason: str) -> None:
        """Note that an image could not be done, and why."""
        left = ImageCounts(spot.number, spot.item.name, left_out=reason)
        self._waiting.append(self._pool.submit(self._note, left))

    def drawn(self) -> list[tuple[ImageCounts, float]]:
        """Return the images of which there are pictures, with their mean IoU, the worst first."""
        kept = self.pictures.kept
        found = [(one, self._score(one)) for one in self.folder.read() if one.index in kept]
        return sorted(found, key=lambda pair: pair[1])

    def settle(self, most: int = 0) -> None:
        """Wait until at most so many predictions are still to be counted.

        Raises:
            CannotWrite: the disk is full, or the folder cannot be written any more.
        """
        while self._waiting and (len(self._waiting) > most or self._waiting[0].done()):
            self._waiting.popleft().result()

    def close(self) -> None:
        """Count what waits, and stop."""
        try:
            self.settle()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _count(self, prediction: Prediction) -> None:
        index, item = prediction.spot
        try:
            truth = item.read_truth()
            check_size(item, truth, prediction.image.size)
            found = self.matching.translate(prediction.ids)
            counts = count_image(
                index, item.name, truth, found, self.totals.counting, prediction.confidence
            )
            if self.save_masks:
                write = partial(write_mask, labels=prediction.ids, vocabulary=self.matching.words)
                self.folder.write(f"masks/{index:06d}.png", write)
            score = self._score(counts)
            self.pictures.offer(score, index, prediction.image, truth, found)
        except CannotWrite:
            raise
        except Exception as error:  # readers meet whatever a broken file makes decoders raise
            counts = ImageCounts(index, item.name, left_out=reason_of(error))
        self._note(counts)

    def _note(self, counts: ImageCounts) -> None:
        self.folder.add(counts)
        self._add(counts)
        self.tell(counts, mean_iou(self.totals.scored, self.totals.counting.protocol.mean))

    def _add(self, counts: ImageCounts) -> None:
        self.in_order &= counts.index > self._last
        self._last = counts.index
        self.totals.add(counts)

    def _score(self, counts: ImageCounts) -> float:
        """Return the mean IoU of an image alone."""
        counting = self.totals.counting
        matrix = counting.finish(counts.matrix(len(counting.counted)))
        return mean_iou(matrix, counting.protocol.mean)
