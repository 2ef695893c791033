"""Make one of two scores."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.engine.stage import Wrapper, Wraps
from ovsskit.engine.values import Confidences
from ovsskit.errors import BadValue


class Mix(Wrapper, writes="scores"):
    """Add what the inner chain scores to the scores before it, by weights, or multiply the two.

    The inner chain compares the same texts in another way. Its maps are enlarged to the size of
    those before it, bilinearly, edges on edges. Both are confidences, and so on one scale: where
    `text_similarity` wrote them, `sigmoid` or `softmax` comes first.
    Source: TCL (0.3 of the frozen branch), ReCo (the product) and Talk2DINO (a sixth of what
    attention heads look at, stretched), released code.

    Example:
        [[stage]]
        use = "mix"
        weight = 0.3
          [[stage.inner]]
          use = "text_similarity"
          [[stage.inner]]
          use = "sigmoid"
    """

    neutral: ClassVar[dict[str, Any]] = {"how": "sum", "weight": 1.0, "stretch": False}

    how: Annotated[Literal["sum", "product"], Field(description="what is made of them")] = "sum"
    weight: Annotated[
        float,
        Field(ge=0, le=1, description="of the inner chain in the sum; what is before has the rest"),
    ] = 0.5
    stretch: Annotated[
        bool,
        Field(
            description="first let 0 and 1 of the inner chain be the lowest and the highest score "
            "before it, over all texts"
        ),
    ] = False

    def run(self, scores: Confidences) -> Wraps[Confidences]:
        """Return maps of the size of those before it.

        Raises:
            BadValue: they are not of the same texts in the same order.
        """
        [out] = yield [{}]
        other: Confidences = out["scores"]
        if scores.labels != other.labels:
            what = f"{self.address} mixes scores of different texts: {len(scores.labels)} and "
            raise BadValue(
                f"{what}{len(other.labels)} maps, or in another order.",
                fix="Let both be compared with the same text_features.",
            )
        data = other.data
        if self.stretch:
            low, high = scores.data.aminmax()
            data = low + data * (high - low)
        if data.shape[1:] != scores.data.shape[1:]:
            size = scores.data.shape[1:]
            data = torch.nn.functional.interpolate(data[None], size, mode="bilinear")[0]
        if self.how == "product":
            return Confidences(scores.data * data, scores.labels)
        if self.weight == 1:
            return other.with_data(data)
        return Confidences(self.weight * data + (1 - self.weight) * scores.data, scores.labels)
