"""Propose the segments of networks that were trained with panoptic masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ovsskit._lazy import torch
from ovsskit.backbones.proposers._proposer import Proposer
from ovsskit.engine.values import Image, Masks


class Panoptic(Proposer):
    """Propose the segments of a network's panoptic result, without their classes."""

    fused: ClassVar[str]
    """How the image processor calls the classes all of whose segments are one."""

    min_score: Annotated[
        float, Field(ge=0, le=1, description="probability of a segment's class, more than this")
    ]
    min_share: Annotated[
        float,
        Field(
            ge=0, le=1, description="share of a mask that is not another segment's, more than this"
        ),
    ] = 0.8
    fuse: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...],
        Field(description="numbers of classes whose segments are one, such as sky and grass"),
    ] = ()

    def propose_masks(self, images: Sequence[Image]) -> list[Masks]:
        """Return the segments of every image, which do not overlap."""
        with torch.no_grad():
            outputs = self.network(pixel_values=self.prepare_images(images)["pixel_values"])
        for name in ("class_queries_logits", "masks_queries_logits"):
            outputs[name] = outputs[name].float()
        results = self.processor.post_process_panoptic_segmentation(
            outputs,
            target_sizes=[image.size for image in images],
            threshold=self.min_score,
            overlap_mask_area_threshold=self.min_share,
            **{self.fused: self._classes()},
        )
        pairs = zip(images, results, strict=True)
        return [self._masks(result).to(image.data.device) for image, result in pairs]

    def _classes(self) -> Any:
        return set(self.fuse)

    def _masks(self, result: dict[str, Any]) -> Masks:
        """Return the masks of a result, in the order of its numbers."""
        scores: dict[int, float] = {}
        for segment in result["segments_info"]:
            scores[segment["id"]] = max(segment["score"], scores.get(segment["id"], 0.0))
        painted = result["segmentation"]
        there = [number for number in sorted(scores) if bool((painted == number).any())]
        numbers = painted.new_tensor(there)
        data = painted == numbers[:, None, None]
        chosen = torch.tensor([scores[number] for number in there], device=data.device)
        return Masks(data, chosen)
