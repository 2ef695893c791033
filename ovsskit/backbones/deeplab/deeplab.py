"""DeepLab v2: the student of MaskCLIP+, and of any recipe that teaches one."""

from __future__ import annotations

from typing import Any, ClassVar

from ovsskit._lazy import Float, torch
from ovsskit.backbones._segmenter import Segmenter
from ovsskit.backbones._segmenter_family import Family
from ovsskit.backbones.deeplab import _checkpoint as checkpoint


class Deeplab(Segmenter):
    """Segment the classes of a DeepLab that `ovsskit distil` taught, or of MaskCLIP+'s release.

    It reads no words: its classifier are the vectors of the texts that it was taught with, or it
    was learned. A released file names no classes: put a `config.json` beside it that does
    (`{"id2label": {"0": "aeroplane", ...}, "background": false}`).
    Sources: Zhou et al. 2022, MaskCLIP+; Chen et al. 2017, DeepLab v2.
    """

    family: ClassVar[Family[Any]] = checkpoint.DEEPLAB

    @staticmethod
    def logits(
        network: Any, pixels: Float[torch.Tensor, "image 3 h w"]
    ) -> Float[torch.Tensor, "image class rows cols"]:
        """Return what the network makes of normalised pixels, at a part of their size."""
        return network(pixels)  # type: ignore[no-any-return]
