"""EoMT: the segments of a plain vision transformer that was trained with panoptic masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ovsskit.backbones.proposers._panoptic import Panoptic
from ovsskit.backbones.proposers._published import EOMT
from ovsskit.hub.weights import Published


class Eomt(Panoptic):
    """Propose EoMT's segments, without their classes: supervised proposals.

    It was trained with masks and classes of COCO or another data set: what it proposes is no longer
    free of labels. COCO's stuff has the classes 80 to 132 there.
    Source: Kerssies et al. 2025, EoMT; transformers (`EomtForUniversalSegmentation`).
    """

    published: ClassVar[Mapping[str, Published]] = EOMT
    called: ClassVar[str] = "EoMT"
    marks: ClassVar[tuple[str, ...]] = (r"^query\.weight$", r"^mask_head\.", r"^class_predictor\.")
    network_class: ClassVar[str] = "EomtForUniversalSegmentation"
    processor_class: ClassVar[str] = "EomtImageProcessor"
    preparation: ClassVar[dict[str, Any]] = {"do_pad": True}
    fused: ClassVar[str] = "stuff_classes"

    min_score: Annotated[
        float, Field(ge=0, le=1, description="probability of a segment's class, more than this")
    ] = 0.8

    def load(self) -> Any:
        """Read the network, whose queries see all patches, as after its training.

        Raises:
            MissingWeights, BadWeights: there are none, or they do not fit.
        """
        network = super().load()
        network.attn_mask_probs.zero_()
        return network

    def _classes(self) -> Any:
        return list(self.fuse)
