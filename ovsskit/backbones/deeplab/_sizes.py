"""The sizes of students: MaskCLIP+'s, and smaller ones for a few classes on small images."""

from __future__ import annotations

from ovsskit.backbones.deeplab._checkpoint import DeepLabShape

SIZES = {
    # as released, whose files that are called r101 have 50 layers, too
    "maskclip_plus": DeepLabShape(),
    "maskclip_plus-r101": DeepLabShape(depths=[3, 4, 23, 3]),
    # ours: about a million numbers; its classifier is learned, so that any recipe may teach it
    "deeplab-tiny": DeepLabShape(
        block="basic",
        depths=[1, 1, 1, 1],
        widths=[32, 64, 96, 128],
        stem_width=16,
        head_width=96,
        dilations=[1, 2, 4, 6],
        texts=False,
    ),
}
