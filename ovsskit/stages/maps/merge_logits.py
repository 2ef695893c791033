"""Give every class the best of its texts, before scores become probabilities."""

from __future__ import annotations

from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Logits
from ovsskit.stages.maps.merge_queries import best_maps


class MergeLogits(Stage, writes="scores"):
    """Merge the maps of all texts of a class by their maximum, as `merge_queries` does later.

    Negatives have one map, which goes on to compete. Source: LPOSS (CVPR 2025), released code,
    whose words of the background are merged so.

    Example:
        [[stage]]
        use = "merge_logits"
    """

    def run(self, scores: Logits) -> Logits:
        """Return one map per label, in the order of labels."""
        labels = tuple(sorted(set(scores.labels)))
        return Logits(best_maps(scores, labels), labels)
