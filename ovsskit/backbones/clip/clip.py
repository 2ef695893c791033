"""CLIP through open_clip: texts, whole images, and the patches inside its vision transformer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import ClassVar

from ovsskit.backbones._checkpoint import has_marks
from ovsskit.backbones.clip._clip_blocks import ClipBlocks
from ovsskit.backbones.clip._clip_images import ClipImages
from ovsskit.backbones.clip._clip_texts import ClipTexts
from ovsskit.backbones.clip._published import CLIP
from ovsskit.engine.model import EncodesImageAndText, EncodesRegions
from ovsskit.hub.weights import Published


class Clip(ClipTexts, ClipImages, EncodesImageAndText, EncodesRegions, ClipBlocks):
    """Encode texts, images and (with vision transformers) patches with any CLIP of open_clip.

    Weights are a pretrained tag of open_clip (with `model`, such as ViT-B-16), a hub id or folder
    with an `open_clip_config.json`, or a checkpoint (with `model`, or with that file beside it).
    Images keep their size for patches; pixels left over at the right and bottom, less than a patch,
    are not seen.
    Source: Radford et al. 2021; open_clip.
    """

    waits: ClassVar[str] = "open_clip prepares whole images on the processor"
    compiles: ClassVar[str] = r"(visual\.)?transformer\.resblocks\.\d+\.mlp"
    embedded: ClassVar[Path] = Path(__file__).parents[2] / "embedded" / "clip"
    published: ClassVar[Mapping[str, Published]] = CLIP

    @classmethod
    def recognise(cls, names: Collection[str]) -> str:
        """Return CLIP's name if tensors of such names are one of it, else an empty text."""
        marks = (r"^(visual\.transformer\.resblocks|vision_model\.encoder)\.",)
        return "CLIP" if has_marks(names, marks, (r"crossattention\.",)) else ""
