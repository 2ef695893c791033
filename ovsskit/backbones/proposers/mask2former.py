"""Mask2Former: the segments of a network that was trained with panoptic masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from ovsskit.backbones.proposers._panoptic import Panoptic
from ovsskit.backbones.proposers._published import MASK2FORMER
from ovsskit.engine.values import Image, Masks
from ovsskit.hub.weights import Published


class Mask2former(Panoptic):
    """Propose Mask2Former's segments, without their classes: supervised proposals.

    It was trained with masks and classes of COCO or another data set: what it proposes is no longer
    free of labels.
    Source: Cheng et al. 2022, Mask2Former; transformers (`Mask2FormerForUniversalSegmentation`).
    """

    published: ClassVar[Mapping[str, Published]] = MASK2FORMER
    called: ClassVar[str] = "Mask2Former"
    marks: ClassVar[tuple[str, ...]] = (r"^(model\.)?pixel_level_module\.", r"^class_predictor\.")
    network_class: ClassVar[str] = "Mask2FormerForUniversalSegmentation"
    processor_class: ClassVar[str] = "Mask2FormerImageProcessor"
    fused: ClassVar[str] = "label_ids_to_fuse"

    min_score: Annotated[
        float, Field(ge=0, le=1, description="probability of a segment's class, more than this")
    ] = 0.5

    def propose_masks(self, images: Sequence[Image]) -> list[Masks]:
        """Return the segments of every image; each runs alone, since images keep their shapes."""
        alone = super().propose_masks
        return [masks for image in images for masks in alone([image])]
