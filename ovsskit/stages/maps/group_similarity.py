"""Compare groups of patches with texts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Confidences, Groups, Image, TextFeatures


class GroupSimilarity(Stage, writes="scores"):
    """Give every pixel the confidences of its group, which is compared with all texts.

    A pixel belongs to the group with the highest assignment, enlarged bilinearly to the image's
    size. A group's confidences are two softmaxes multiplied: one over all texts, and one over the
    `top` texts that the whole image is most like. The background's map is 1 where the best
    confidence is below `background_below`, else 0; where no group reaches that, the highest
    confidence of all groups takes its place.
    Source: GroupViT, released code (0.95 for VOC and COCO, 0.35 for Context).

    Example:
        [[stage]]
        use = "group_similarity"
        background_below = 0.95
    """

    top: Annotated[
        int, Field(ge=1, description="how many texts are allowed, those most like the image")
    ] = 5
    background_below: Annotated[
        float,
        Field(ge=0, le=1, description="a less sure group is background; 0: there is no background"),
    ] = 0.0

    def run(self, image: Image, groups: Groups, text_features: TextFeatures) -> Confidences:
        """Return one map per text, that of the background (label 0) first, at the image's size."""
        enlarged = torch.nn.functional.interpolate(
            groups.assignment[None].float(), image.size, mode="bilinear"
        )[0]
        sure = self._sure(groups, text_features.data.float())
        maps = sure[enlarged.argmax(0)].permute(2, 0, 1)
        labels = text_features.labels
        if not self.background_below or 0 in labels:
            return Confidences(maps, labels)
        least = sure.max().clamp(max=self.background_below)
        background = (maps.amax(0, keepdim=True) < least).to(maps.dtype)
        return Confidences(torch.cat([background, maps]), (0, *labels))

    def _sure(
        self, groups: Groups, texts: Float[torch.Tensor, "text width"]
    ) -> Float[torch.Tensor, "group text"]:
        """Return how sure groups are of texts."""
        unit = torch.nn.functional.normalize
        logits = groups.scale * (unit(groups.features.float(), dim=1) @ texts.T)
        likeness = texts @ unit(groups.image.float(), dim=0)
        allowed = torch.zeros_like(likeness, dtype=torch.bool)
        allowed[likeness.topk(min(self.top, len(texts))).indices] = True
        some = logits.masked_fill(~allowed, -torch.inf).softmax(1)
        return logits.softmax(1) * some
