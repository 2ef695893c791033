"""The sizes of SegFormer: those that are published, and one for small images."""

from __future__ import annotations

from ovsskit.backbones.segformer._checkpoint import SegformerShape

HEADS = [1, 2, 5, 8]
SIZES = {
    # ours: about half a million numbers, for a few classes on small images
    "segformer-tiny": SegformerShape(
        hidden_sizes=[16, 32, 64, 96],
        depths=[1, 1, 2, 1],
        num_attention_heads=[1, 2, 4, 6],
        decoder_hidden_size=96,
    ),
    # Xie et al. 2021, table 6
    "segformer-b0": SegformerShape(
        hidden_sizes=[32, 64, 160, 256],
        depths=[2, 2, 2, 2],
        num_attention_heads=HEADS,
        decoder_hidden_size=256,
    ),
    "segformer-b1": SegformerShape(
        hidden_sizes=[64, 128, 320, 512],
        depths=[2, 2, 2, 2],
        num_attention_heads=HEADS,
        decoder_hidden_size=256,
    ),
    **{
        f"segformer-b{number}": SegformerShape(
            hidden_sizes=[64, 128, 320, 512],
            depths=depths,
            num_attention_heads=HEADS,
            decoder_hidden_size=768,
        )
        for number, depths in (
            (2, [3, 4, 6, 3]),
            (3, [3, 4, 18, 3]),
            (4, [3, 8, 27, 3]),
            (5, [3, 6, 40, 3]),
        )
    },
}
