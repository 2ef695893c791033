"""What a DeepLab's checkpoints hold: those of MaskCLIP+, and those that `ovsskit distil` wrote."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveInt

from ovsskit.backbones._segmenter_family import Configuration, Family

RENAMES = (
    (r"^backbone\.stem\.7\.", "encoder.bn1."),
    (r"^backbone\.stem\.", "encoder.conv1."),
    (r"^backbone\.layer", "encoder.layer"),
    (r"^decode_head\.decode_module\.aspp_modules\.", "head.branches."),
    (r"^decode_head\.text_embeddings$", "classifier.texts"),
)
"""From the names of MaskCLIP+'s release (mmsegmentation's) to those of the network."""


class DeepLabShape(Configuration):
    """Give the shape of a `config.json`; what it leaves out is MaskCLIP+'s, on a ResNet-50.

    `texts` says that the classifier are vectors of texts, `background` that the first class is a
    background, whose vector is learned.
    """

    block: Literal["basic", "bottleneck"] = "bottleneck"
    depths: list[PositiveInt] = Field(default=[3, 4, 6, 3], min_length=4, max_length=4)
    widths: list[PositiveInt] = Field(default=[64, 128, 256, 512], min_length=4, max_length=4)
    stem_width: PositiveInt = 32
    stride: Literal[8, 16, 32] = 8
    head_width: PositiveInt = 512
    dilations: list[PositiveInt] = Field(default=[6, 12, 18, 24], min_length=1)
    texts: bool = True
    background: bool = True


def build(configuration: DeepLabShape, classes: int) -> Any:
    """Return a network with maps of so many classes, whose weights are random."""
    from ovsskit.backbones.deeplab._network import DeepLab

    return DeepLab(**configuration.shape, classes=classes)


DEEPLAB = Family(
    "DeepLab",
    DeepLabShape,
    build,
    RENAMES,
    marks=(r"encoder\.layer4\.0\.conv1\.", r"head\.branches\.0\.conv\."),
    unread=r".*\.num_batches_tracked",
    encoder="encoder.",
)
