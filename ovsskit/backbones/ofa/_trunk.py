"""Turn 16 x 16 pixels into one feature: OFA's residual network without its last stage."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

EXPANSION = 4
"""A bottleneck gives this many times the channels that it works in."""
STRIDE = 16


class Bottleneck(nn.Module):
    """Add to the input what a narrow 3 x 3 convolution sees in it."""

    def __init__(self, channels: int, narrow: int, stride: int, *, projected: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, narrow, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(narrow)
        self.conv3 = nn.Conv2d(narrow, narrow * EXPANSION, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(narrow * EXPANSION)
        self.downsample = nn.Sequential()
        if projected:
            self.downsample.append(nn.Conv2d(channels, narrow * EXPANSION, 1, stride, bias=False))
            self.downsample.append(nn.BatchNorm2d(narrow * EXPANSION))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d rows cols"]:
        """Return the output, after the last ReLU."""
        seen = self.bn1(self.conv1(x)).relu()
        seen = self.bn2(self.conv2(seen)).relu()
        found: Tensor = (self.bn3(self.conv3(seen)) + self.downsample(x)).relu()
        return found


class Trunk(nn.Module):
    """Turn images into features at stride 16.

    `width` is 64 in every published model and `blocks` (3, 4, 6), (3, 4, 23) or (3, 8, 36):
    ResNet-50, -101 and -152 without stage 4. Normalisation uses stored statistics in evaluation
    mode, which is the only one after pretraining.
    """

    def __init__(self, width: int, blocks: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, blocks[0], stride=1)
        self.layer2 = _stage(width * EXPANSION, width * 2, blocks[1], stride=2)
        self.layer3 = _stage(width * 2 * EXPANSION, width * 4, blocks[2], stride=2)

    def forward(self, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b channels rows cols"]:
        """Return `ceil(h / 16) x ceil(w / 16)` features."""
        x = self.bn1(self.conv1(pixels)).relu()
        x = nn.functional.max_pool2d(x, 3, 2, padding=1)
        found: Tensor = self.layer3(self.layer2(self.layer1(x)))
        return found


def _stage(channels: int, narrow: int, blocks: int, stride: int) -> nn.Sequential:
    first = Bottleneck(channels, narrow, stride, projected=True)
    others = [Bottleneck(narrow * EXPANSION, narrow, 1, projected=False) for _ in range(blocks - 1)]
    return nn.Sequential(first, *others)
