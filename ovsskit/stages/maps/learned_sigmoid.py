"""Turn every score into a confidence by what the model has learned of scores."""

from __future__ import annotations

from ovsskit.engine.model import GroundsText
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Confidences, Scores


class LearnedSigmoid(Stage, writes="scores"):
    """Do as `sigmoid` does, with the two numbers that the model was trained to have.

    They are for the cosines of texts with what `ground_patches` writes.
    Source: Cha et al. 2023, TCL, section 3.2.

    Example:
        [[stage]]
        use = "learned_sigmoid"
    """

    def run(self, scores: Scores, backbone: GroundsText) -> Confidences:
        """Return maps from 0 to 1."""
        scale, bias = backbone.calibration
        return Confidences((scores.data * scale + bias).sigmoid(), scores.labels)
