"""Run a network that was trained for these classes, such as one that a recipe taught."""

from __future__ import annotations

from ovsskit.engine.model import SegmentsClasses
from ovsskit.engine.model.segments_classes import rows_of
from ovsskit.engine.sending import pick
from ovsskit.engine.stage import Batch, Stage
from ovsskit.engine.values import Image, Logits, Vocabulary


class SegmentClasses(Stage, writes="scores"):
    """Return a map of logits for every class, and for the background if the network has one.

    The network knows a list of classes and reads no words: classes are found by their names in that
    list, and those of the list that nobody asks for are left out.

    Example:
        [[stage]]
        use = "segment_classes"
    """

    def run_batch(
        self, image: Batch[Image], vocabulary: Batch[Vocabulary], backbone: SegmentsClasses
    ) -> Batch[Logits]:
        """Return maps on the network's grid.

        Raises:
            BadClasses: the network was not trained for a class.
        """
        found = []
        maps = backbone.segment_classes(image)
        for words, mine in zip(vocabulary, maps, strict=True):
            rows = rows_of(words, backbone.class_names)
            found.append(Logits(pick(mine, list(rows.values())), tuple(rows)))
        return found
