"""Know the true masks of the images of a run, to show them beside what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ovsskit._lazy import Int, numpy, torch
from ovsskit.datasets.colours import BLACK
from ovsskit.datasets.dataset import Dataset, Item, check_size
from ovsskit.datasets.folder import common_folder, open_folder
from ovsskit.datasets.matching import Matching, match_classes
from ovsskit.embedded import CLASSES
from ovsskit.engine.values import Vocabulary
from ovsskit.files.remote import image_path
from ovsskit.ops.metrics import confusion, mean_iou
from ovsskit.run.samples import sample_dataset


@dataclass(frozen=True)
class Comparison:
    """Hold true and found classes of an image by their numbers in the truth, and the mean IoU.

    Numbers below 0 are of no class. The IoU is over the classes that are true or found; None where
    nothing counts.
    """

    truth: Int[numpy.ndarray, "h w"]
    found: Int[numpy.ndarray, "h w"]
    miou: float | None


@dataclass(frozen=True)
class Truths:
    """Hold where images have true masks, by their full paths, and which classes these show."""

    items: Mapping[str, Item]
    matching: Matching
    dataset: Dataset

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Return the classes of the truth, with the colours that the run gives them."""
        words, facts = self.matching.words, self.dataset.facts
        mine = dict(zip(words.ids, words.colours, strict=True))
        colours = [*facts.palette]
        for identity, number in self.matching.numbers.items():
            colours[number] = mine[identity]
        ids = tuple(range(len(facts.classes) + 1))
        return Vocabulary(facts.classes, ids, (BLACK, *colours), "none of the classes")

    def compare(self, source: str, ids: Int[numpy.ndarray, "h w"]) -> Comparison:
        """Compare the ids that were found in an image with its true mask.

        Raises:
            BadFile: the mask cannot be read, or is not that of the image.
        """
        truth, found = self._pair(source, ids)
        miou = mean_iou(self._count(truth, found))
        return Comparison(truth, found, None if miou != miou else miou)

    def count(
        self, source: str, ids: Int[numpy.ndarray, "h w"]
    ) -> Int[torch.Tensor, "true predicted"]:
        """Count an image's pixels by true and found class; the last column is of no class.

        Raises:
            BadFile: the mask cannot be read, or is not that of the image.
        """
        return self._count(*self._pair(source, ids))

    def _pair(
        self, source: str, ids: Int[numpy.ndarray, "h w"]
    ) -> tuple[Int[numpy.ndarray, "h w"], Int[numpy.ndarray, "h w"]]:
        """Return true and found classes by their numbers in the truth."""
        item = self.items[source]
        truth = item.read_truth()
        check_size(item, truth, ids.shape)
        found, facts = self.matching.translate(ids), self.dataset.facts
        if facts.background is not None:
            found = numpy.where(found < 0, facts.background, found)
        return truth, found

    def _count(
        self, truth: Int[numpy.ndarray, "h w"], found: Int[numpy.ndarray, "h w"]
    ) -> Int[torch.Tensor, "true predicted"]:
        true, other = (torch.from_numpy(one.astype("int64")) for one in (truth, found))
        return confusion(true, other, len(self.dataset.facts.classes), others=True)


def find_truths(
    images: Sequence[Path],
    inputs: Sequence[str],
    vocabulary: Vocabulary,
    samples: bool,
    truth: Path | None,
    classes: Path | None,
    ignored: Sequence[int],
) -> Truths | None:
    """Return the true masks of images: those in a folder, or those of the sample scenes; else None.

    `inputs` are the folders and files that a person named; masks lie as images do in these.

    Raises:
        BadClasses: there is no file of classes, or it has none of those that are looked for.
        BadFile: no image has a mask.
    """
    if truth is not None:
        among = [path.absolute() for path in images]
        folder = common_folder(inputs or [str(path.parent) for path in among])
        dataset = open_folder(folder, truth, classes, ignored, among)
    elif samples and set(vocabulary.names) <= set(CLASSES):
        dataset = sample_dataset(vocabulary)
    else:
        return None
    items = {str(image_path(item.where).absolute()): item for item in dataset.items}
    return Truths(items, match_classes(vocabulary, dataset.facts), dataset)
