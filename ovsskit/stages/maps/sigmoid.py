"""Turn every score into a confidence of its own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Confidences, Scores


class Sigmoid(Stage, writes="scores"):
    """Turn every score into a confidence from 0 to 1, whatever the other classes have.

    A score is multiplied by `scale`, `bias` is added, and the logistic function follows. Other than
    after `softmax`, a place may have several classes, or none.
    Source: TCL (its frozen branch: 10 and -2.5 on cosines) and ReCo (10 and 0), released code.

    Example:
        [[stage]]
        use = "sigmoid"
        scale = 10.0
        bias = -2.5
    """

    scale: Annotated[float, Field(gt=0, description="what scores are multiplied by")] = 1.0
    bias: Annotated[float, Field(description="what is added then")] = 0.0

    def run(self, scores: Scores) -> Confidences:
        """Return maps from 0 to 1."""
        return Confidences((scores.data * self.scale + self.bias).sigmoid(), scores.labels)
