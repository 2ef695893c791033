"""The sizes of students: MaskCLIP+'s, and smaller ones for a few classes on small images."""

from __future__ import annotations

from ovsskit.backbones.deeplab._checkpoint import DeepLabShape

R101 = [3, 4, 23, 3]
"""Of a ResNet-101 (He et al. 2016, table 1)."""
SIZES = {
    # as released, whose files that are called r101 have 50 layers, too
    "maskclip_plus": DeepLabShape(),
    "maskclip_plus-r101": DeepLabShape(depths=R101),
    # their classifier is learned, so that any recipe may teach them
    "deeplab-r50": DeepLabShape(texts=False),
    "deeplab-r101": DeepLabShape(depths=R101, texts=False),
    # ours: 0.6 million numbers
    "deeplab-tiny": DeepLabShape(
        block="basic",
        depths=[1, 1, 2, 1],
        widths=[16, 32, 64, 128],
        stem_width=8,
        head_width=64,
        dilations=[1, 2, 4],
        texts=False,
    ),
}
