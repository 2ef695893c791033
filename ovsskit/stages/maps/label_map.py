"""Give every pixel the class of its highest score."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import Bool, Float, Int, torch
from ovsskit.engine.sending import send_numbers, send_places
from ovsskit.engine.stage import PerClass, Stage
from ovsskit.engine.values import Image, Labels, Scores, Vocabulary
from ovsskit.stages.maps.upsample import Align


class LabelMap(Stage, writes="labels"):
    """Give every pixel the id of the class with the highest score; of equals, the first.

    Maps of negatives are left out. Maps that are smaller than the image are enlarged bilinearly,
    one at a time, so that memory does not grow with the number of classes; CLIP-DIY, released code,
    enlarges their labels instead, by nearest neighbour. The released code of PnP-OVSS replaces the
    indices of maps by the ids of classes in place, last map first, so that an id that equals the
    index of an earlier map is replaced again.

    Example:
        [[stage]]
        use = "label_map"
        background_below = 0.3
    """

    relabel: Annotated[
        Literal["lookup", "in_place"],
        Field(description="look the id up; `in_place`: replace as released, with collisions"),
    ] = "lookup"
    align: Align = "corners"
    enlarge: Annotated[
        Literal["maps", "labels"],
        Field(
            description="what is brought to the image's size: the maps, bilinearly, or the labels "
            "that they give, by nearest neighbour"
        ),
    ] = "maps"
    background_below: Annotated[
        float,
        Field(ge=0, description="pixels whose highest score is below this are background (id 0)"),
    ] = 0.0
    background_below_class: Annotated[
        dict[str, Annotated[float, Field(ge=0)]],
        PerClass("background_below"),
        Field(description="the same for pixels whose highest score is that of a class, by name"),
    ] = {}

    def run(self, scores: Scores, vocabulary: Vocabulary, image: Image) -> Labels:
        """Return one of `Vocabulary.ids` per pixel."""
        scores = scores.without_negatives()
        numbers = [vocabulary.ids[label] for label in scores.labels]
        best, labels = self._best(scores.data, image.size)
        below = self._below(best, labels, scores, vocabulary)
        if self.relabel == "lookup":
            labels = send_places(numbers, labels.device)[labels]
        else:
            for index in reversed(range(len(numbers))):
                if scores.labels[index]:
                    labels[labels == index] = numbers[index]
        return Labels(labels if below is None else labels.masked_fill(below, 0))

    def _best(
        self, maps: Float[torch.Tensor, "class rows cols"], size: tuple[int, int]
    ) -> tuple[Float[torch.Tensor, "h w"], Int[torch.Tensor, "h w"]]:
        """Return the highest score of every pixel, and its map's index."""
        if self.enlarge == "maps":
            return best_map(maps, size, self.align)
        best, indices = maps.max(0)
        rows, columns = (
            torch.arange(new, device=maps.device) * old // new
            for old, new in zip(best.shape, size, strict=True)
        )
        return best[rows[:, None], columns], indices[rows[:, None], columns]

    def _below(
        self,
        best: Float[torch.Tensor, "h w"],
        indices: Int[torch.Tensor, "h w"],
        scores: Scores,
        vocabulary: Vocabulary,
    ) -> Bool[torch.Tensor, "h w"] | None:
        """Return which pixels score too low for a class; None where all scores are enough."""
        if not self.background_below_class:
            return best < self.background_below if self.background_below else None
        names = [vocabulary.labels[label] for label in scores.labels]
        least = [self.background_below_class.get(name, self.background_below) for name in names]
        return best < send_numbers(least, best)[indices]


def best_map(
    maps: Float[torch.Tensor, "class rows cols"], size: tuple[int, int], align: Align = "corners"
) -> tuple[Float[torch.Tensor, "h w"], Int[torch.Tensor, "h w"]]:
    """Return the highest value at every pixel of an image of this size, and its map's index."""
    if maps.shape[1:] == size:
        best, indices = maps.max(0)
        return best, indices
    best = torch.full(size, -torch.inf, device=maps.device)
    indices = torch.zeros(size, dtype=torch.int64, device=maps.device)
    for index, one in enumerate(maps):
        data, corners = one[None, None].float(), align == "corners"
        enlarged = torch.nn.functional.interpolate(
            data, size, mode="bilinear", align_corners=corners
        )[0, 0]
        higher = enlarged > best
        best = torch.where(higher, enlarged, best)
        indices = indices.masked_fill(higher, index)
    return best, indices
