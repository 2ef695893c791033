"""Keep the maps of the classes that an image shows."""

from __future__ import annotations

from ovsskit.engine.sending import pick
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Present
from ovsskit.engine.values.scores import S
from ovsskit.engine.values.vocabulary import NEGATIVE


class KeepPresent(Stage, writes="scores"):
    """Keep the maps of the classes that an image shows, of the background, and of negatives.

    So any stage that says which classes are there serves recipes that compare patches with all
    words. Before `softmax`, the classes that are kept compete with each other alone; after it, the
    others take their share along. Where nothing is kept, a map of ones is the background's.

    Example:
        [[stage]]
        use = "keep_present"
    """

    def run(self, scores: S, present: Present) -> S:
        """Return the maps of these classes, in the order in which they were."""
        answers = {0, *present.labels}
        if not answers & {*scores.labels}:
            return type(scores)(scores.data.new_ones(1, *scores.data.shape[1:]), (0,))
        wanted = answers | {NEGATIVE}
        rows = [row for row, label in enumerate(scores.labels) if label in wanted]
        labels = tuple(scores.labels[row] for row in rows)
        return type(scores)(pick(scores.data, rows), labels)
