"""Trust a place as far as its best class is ahead of the second."""

from __future__ import annotations

from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Confidences


class MarginConfidence(Stage, writes="scores"):
    """Multiply all scores of a place by the square root of how far the best is ahead of the second.

    The order of classes stays, and `label_map` with `background_below` leaves to the background
    what is low or undecided. A lone class is ahead of nothing, which is 0.
    Source: ActiveSAM (arXiv 2606.16996), margin-aware background calibration; its threshold of this
    is that of the scores to the power of 1.25. Its released code leaves a lone class as it is.

    Example:
        [[stage]]
        use = "margin_confidence"
    """

    def run(self, scores: Confidences) -> Confidences:
        """Return the maps, lower where two classes are about as high."""
        best = scores.data.topk(min(2, len(scores.data)), dim=0).values
        margin = best[0] - best[1] if len(best) > 1 else best[0]
        return Confidences(scores.data * margin.sqrt(), scores.labels)
