"""Fade what single words see of an image."""

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

LAYER: Final = 0
HEAD: Final = 0
FULL_LOSS: Final = 6.0


class Fading(nn.Module):
    """Stand in for the dropout of attention: one head sees the image through a factor per token."""

    factors: Float[Tensor, "captions tokens"] | None = None

    def forward(
        self, attention: Float[Tensor, "captions heads tokens patches"]
    ) -> Float[Tensor, "captions heads tokens patches"]:
        """Scale the attention of one head, or leave all as it is where no factors are set."""
        if self.factors is None:
            return attention
        scale = torch.ones_like(attention[..., :1])
        scale[:, HEAD, :, 0] = self.factors.to(attention.dtype)
        return attention * scale


def fading_loss(
    clear: Float[Tensor, " images"],
    faded: Float[Tensor, " images"],
    factor: Float[Tensor, " images"],
) -> Float[Tensor, ""]:
    """Ask that the match logit falls in step with what one name of a true caption sees.

    The logit then rises with the attention that a name pays, so its gradient there is positive,
    which is what GradCAM reads; without this it is negative for one name in three.
    """
    return torch.relu((1 - factor) - (clear - faded) / FULL_LOSS).mean()
