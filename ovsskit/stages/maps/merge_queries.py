"""Give every class the best of its texts."""

from __future__ import annotations

from collections.abc import Sequence

from ovsskit._lazy import Float, torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import NEGATIVE, Confidences, Probabilities, Scores


class MergeQueries(Stage, writes="scores"):
    """Merge the maps of all texts of a class by their maximum.

    Texts of a class are its name, its synonyms, and the words of the background. Negatives have
    competed by now, and their maps are left out.
    The confidences of a place need not sum to 1 any more. Source: ITACLIP, released code, after
    SCLIP's.

    Example:
        [[stage]]
        use = "merge_queries"
    """

    def run(self, scores: Probabilities) -> Confidences:
        """Return one map per label, in the order of labels."""
        labels = tuple(sorted(set(scores.labels) - {NEGATIVE}))
        return Confidences(best_maps(scores, labels), labels)


def best_maps(scores: Scores, labels: Sequence[int]) -> Float[torch.Tensor, "label h w"]:
    """Return the highest score at every place among the maps of each of these labels."""
    if tuple(labels) == scores.labels:
        return scores.data
    merged = scores.data.new_empty(len(labels), *scores.data.shape[1:])
    for found, label in zip(merged, labels, strict=True):
        first, *others = (
            one for one, mine in zip(scores.data, scores.labels, strict=True) if mine == label
        )
        found.copy_(first)
        for other in others:
            torch.maximum(found, other, out=found)
    return merged
