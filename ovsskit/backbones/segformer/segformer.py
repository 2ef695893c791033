"""SegFormer: a small, fast network that segments the classes which it was taught."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ovsskit._lazy import Float, torch
from ovsskit.backbones._segmenter import Segmenter
from ovsskit.backbones._segmenter_family import Family
from ovsskit.backbones.segformer import _checkpoint as checkpoint
from ovsskit.backbones.segformer import _published
from ovsskit.hub.weights import Published


class Segformer(Segmenter):
    """Segment the classes of a SegFormer that `ovsskit distil` taught, or that the hub has.

    It reads no words: its classes are those that it was trained for. Those of the hub were trained
    on masks. Source: Xie et al. 2021, SegFormer.
    """

    family: ClassVar[Family[Any]] = checkpoint.SEGFORMER
    transformers: ClassVar[Mapping[str, Any]] = {
        "architectures": ["SegformerForSemanticSegmentation"],
        "model_type": "segformer",
    }
    published: ClassVar[Mapping[str, Published]] = _published.SEGFORMER

    @staticmethod
    def logits(
        network: Any, pixels: Float[torch.Tensor, "image 3 h w"]
    ) -> Float[torch.Tensor, "image class rows cols"]:
        """Return what the network makes of normalised pixels, at a quarter of their size."""
        return network(pixels).logits  # type: ignore[no-any-return]
