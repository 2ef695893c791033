"""Let regions have a say in the scores of their places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.sending import pick
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Logits, RegionFeatures, Regions, TextFeatures
from ovsskit.errors import BadValue


class MixRegionScores(Stage, writes="scores"):
    """Average the scores of places with those of the region that they lie in.

    A region's scores are the products of its vector, made unit length, with all texts; where the
    maps are of classes by now, a class has the best of its texts. Regions are resized to the maps
    by nearest neighbour. Two of these stages mix two models: the first with a
    weight of 1/3 and the second with 1/4 count the regions of each as 1/4, and places as 1/2.
    Source: CorrCLIP v2, released code (half and half).

    Example:
        [[stage]]
        use = "mix_region_scores"
        weight = 0.3
    """

    weight: Annotated[
        float, Field(ge=0, le=1, description="what the region counts for; places have the rest")
    ] = 0.5

    def run(
        self,
        scores: Logits,
        regions: Regions,
        retrieved: RegionFeatures,
        text_features: TextFeatures,
    ) -> Logits:
        """Return the mixed maps.

        Raises:
            BadValue: a map is of no text, or regions and texts are of other spaces.
        """
        unit = torch.nn.functional.normalize(retrieved.data.float(), dim=-1)
        if unit.shape[1] != text_features.data.shape[1]:
            widths = (
                f"regions of {unit.shape[1]} numbers and texts of {text_features.data.shape[1]}"
            )
            fix = "Build the bank with the model whose texts are compared."
            raise BadValue(f"{self.address} reads {widths}.", fix=fix)
        of_texts = text_features.data.float() @ unit.T
        of_regions = self._by_map(of_texts, text_features.labels, scores.labels)
        placed = regions.resized(scores.data.shape[1:]).data
        rows = torch.searchsorted(retrieved.numbers, placed)
        theirs = of_regions.index_select(1, rows.flatten()).unflatten(1, tuple(placed.shape))
        return scores.with_data(torch.lerp(scores.data.float(), theirs, self.weight))

    def _by_map(
        self,
        of_texts: Float[torch.Tensor, "text region"],
        texts: Sequence[int],
        maps: Sequence[int],
    ) -> Float[torch.Tensor, "class region"]:
        """Return the scores of the texts of every map: its own, or the best with its label."""
        if texts == maps:
            return of_texts
        missing = set(maps) - set(texts)
        if missing:
            what = f"{self.address} reads a map of label {min(missing)}, which has no text."
            raise BadValue(what, fix="Put it before maps are added that belong to no text.")
        rows = [[row for row, label in enumerate(texts) if label == one] for one in maps]
        return torch.stack([pick(of_texts, some).amax(0) for some in rows])
