"""Give every pixel the class of its highest score."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ovsskit.lazy import torch
from ovsskit.stage import Stage
from ovsskit.values import Labels, Scores, Vocabulary


class LabelMap(Stage, writes="labels"):
    """Give every pixel the number of the class with the highest score; of equals, the first.

    The released code of PnP-OVSS replaces the indices of maps by the numbers of classes in place, last map first, so that
    a number that equals the index of an earlier map is replaced again.
    """

    relabel: Annotated[
        Literal["lookup", "in_place"], Field(description="look the number up; `in_place`: replace as released, with collisions")
    ] = "lookup"

    def run(self, scores: Scores, vocabulary: Vocabulary) -> Labels:
        """Return one number of `Vocabulary.ids` per pixel."""
        numbers = [vocabulary.ids[label] for label in scores.labels]
        indices = scores.data.argmax(0)
        if self.relabel == "lookup":
            return Labels(torch.tensor(numbers, device=indices.device)[indices])
        for index in reversed(range(len(numbers))):
            if scores.labels[index]:
                indices[indices == index] = numbers[index]
        return Labels(indices)
