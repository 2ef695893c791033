"""DeepLab v2: a dilated ResNet, four dilated convolutions that are summed, and a classifier."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ovsskit._lazy import timm


class Branch(nn.Module):
    """Look around by one dilated 3 x 3 convolution, with batch norm and ReLU."""

    def __init__(self, channels: int, width: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, data: Float[Tensor, "image channel h w"]) -> Float[Tensor, "image width h w"]:
        """Return what it finds at every place."""
        return self.bn(self.conv(data)).relu()  # type: ignore[no-any-return]


class SummedBranches(nn.Module):
    """Sum branches that look around with different dilations (Chen et al. 2017, DeepLab v2)."""

    def __init__(self, channels: int, width: int, dilations: list[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(Branch(channels, width, one) for one in dilations)

    def forward(self, data: Float[Tensor, "image channel h w"]) -> Float[Tensor, "image width h w"]:
        """Return one vector for every place, which is not made unit."""
        return torch.stack([branch(data) for branch in self.branches]).sum(0)


class TextClassifier(nn.Module):
    """Multiply vectors with those of texts, which are not trained.

    The background has no text: its vector, if there is one, is learned.
    Source: Zhou et al. 2022, MaskCLIP+.
    """

    texts: Tensor

    def __init__(self, classes: int, width: int, *, background: bool) -> None:
        super().__init__()
        self.register_buffer("texts", torch.empty(classes - background, width))
        self.background = nn.Parameter(torch.zeros(1, width)) if background else None

    def forward(self, data: Float[Tensor, "image width h w"]) -> Float[Tensor, "image class h w"]:
        """Return plain products, the background's first."""
        parts = [self.texts] if self.background is None else [self.background, self.texts]
        return torch.einsum("nwij,cw->ncij", data, torch.cat(parts))


class DeepLab(nn.Module):
    """Segment a fixed list of classes at an eighth of the image's size, or as its stride says.

    The ResNet has three small convolutions for a stem (ResNet-C). Sources: He et al. 2018, Bag of
    Tricks; Chen et al. 2017, DeepLab v2.
    """

    def __init__(
        self,
        *,
        block: str,
        depths: list[int],
        widths: list[int],
        stem_width: int,
        stride: int,
        head_width: int,
        dilations: list[int],
        classes: int,
        texts: bool,
        background: bool,
    ) -> None:
        super().__init__()
        kinds = timm.models.resnet
        kind = kinds.Bottleneck if block == "bottleneck" else kinds.BasicBlock
        self.encoder = kinds.ResNet(
            kind,
            tuple(depths),
            num_classes=0,
            global_pool="",
            channels=tuple(widths),
            stem_type="deep",
            stem_width=stem_width,
            output_stride=stride,
        )
        self.head = SummedBranches(widths[-1] * kind.expansion, head_width, dilations)
        self.classifier = (
            TextClassifier(classes, head_width, background=background)
            if texts
            else nn.Conv2d(head_width, classes, 1)
        )

    def features(
        self, pixels: Float[Tensor, "image 3 h w"]
    ) -> Float[Tensor, "image width rows cols"]:
        """Return the vectors that are classified."""
        return self.head(self.encoder.forward_features(pixels))  # type: ignore[no-any-return]

    def forward(
        self, pixels: Float[Tensor, "image 3 h w"]
    ) -> Float[Tensor, "image class rows cols"]:
        """Return logits of all classes, edges on edges."""
        return self.classifier(self.features(pixels))  # type: ignore[no-any-return]
