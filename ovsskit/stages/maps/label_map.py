"""Give every pixel the class of its highest score."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ovsskit.lazy import Float, Int, torch
from ovsskit.stage import Stage
from ovsskit.stages.maps.upsample import Align
from ovsskit.values import Image, Labels, Scores, Vocabulary


class LabelMap(Stage, writes="labels"):
    """Give every pixel the number of the class with the highest score; of equals, the first.

    Maps that are smaller than the picture are enlarged bilinearly, one at a time, so that memory does not grow with the
    number of classes. The released code of PnP-OVSS replaces the indices of maps by the numbers of classes in place, last map first, so that
    a number that equals the index of an earlier map is replaced again.
    """

    relabel: Annotated[
        Literal["lookup", "in_place"], Field(description="look the number up; `in_place`: replace as released, with collisions")
    ] = "lookup"
    align: Align = "corners"

    def run(self, scores: Scores, vocabulary: Vocabulary, image: Image) -> Labels:
        """Return one number of `Vocabulary.ids` per pixel."""
        numbers = [vocabulary.ids[label] for label in scores.labels]
        indices = best_map(scores.data, image.size, self.align)
        if self.relabel == "lookup":
            return Labels(torch.tensor(numbers, device=indices.device)[indices])
        for index in reversed(range(len(numbers))):
            if scores.labels[index]:
                indices[indices == index] = numbers[index]
        return Labels(indices)


def best_map(
    maps: Float[torch.Tensor, "class rows cols"], size: tuple[int, int], align: Align = "corners"
) -> Int[torch.Tensor, "h w"]:
    """Return the index of the highest map at every pixel of a picture of this size."""
    if maps.shape[1:] == size:
        return maps.argmax(0)
    best = torch.full(size, -torch.inf, device=maps.device)
    indices = torch.zeros(size, dtype=torch.int64, device=maps.device)
    for index, one in enumerate(maps):
        data, corners = one[None, None].float(), align == "corners"
        enlarged = torch.nn.functional.interpolate(data, size, mode="bilinear", align_corners=corners)[0, 0]
        higher = enlarged > best
        best[higher], indices[higher] = enlarged[higher], index
    return indices
