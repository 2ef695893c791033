"""Take every class as present."""

from __future__ import annotations

from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Present, Vocabulary


class AllClasses(Stage, writes="present"):
    """Take every class of the vocabulary as present, in its order.

    Example:
        [[stage]]
        use = "all_classes"
    """

    def run(self, vocabulary: Vocabulary) -> Present:
        """Return the labels of all classes."""
        return Present(tuple(range(1, len(vocabulary.names) + 1)))
