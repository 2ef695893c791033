"""Weigh the channels of an image by how much they speak for each class."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.sending import pick
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import NEGATIVE, Explanation, Saliency
from ovsskit.ops.boxes import scale


class ChannelCam(Stage, writes="scores"):
    """Sum the channels of the patches, weighed by the gradient of a class's probability in them.

    The probability is that of the class among all texts of the explanation, negatives too, so that
    what speaks for another class speaks against this one. What is negative becomes zero, and maps
    are scaled to 0 to 1. A map on which nothing is left may be made again without the negatives,
    unless the class is the only one. An image that shows no class has one map, of the background.
    With g_j the gradient of logit j, and p the softmax of the logits, the weights of class c are
    p_c (g_c - sum_j p_j g_j).
    Source: Selvaraju et al. 2017 (Grad-CAM); of a softmax over texts: Lin et al. 2023, CLIP-ES,
    released code, which scales twice with `epsilon` 1e-7, as is done here.

    Example:
        [[stage]]
        use = "channel_cam"
    """

    epsilon: Annotated[
        float, Field(ge=0, description="added to a map's range when it is scaled; CaR has 1e-15")
    ] = 1e-7
    if_blank: Annotated[
        Literal["keep", "without_negatives"],
        Field(description="what becomes of a map that is all zero; CaR tries without negatives"),
    ] = "keep"

    def run(self, explanation: Explanation) -> Saliency:
        """Return one map per text of a class, on the grid of patches, from 0 to 1."""
        kept = [row for row, label in enumerate(explanation.labels) if label != NEGATIVE]
        if not kept:
            whole = torch.ones_like(explanation.activations[:1])
            return Saliency(whole, (0,))
        maps = pick(self._maps(explanation), kept)
        if self.if_blank == "without_negatives":
            blank = ~maps.flatten(1).any(1)  # on a GPU, to ask whether one is costs more than maps
            maps = torch.where(blank[:, None, None], self._maps(explanation.pick(kept)), maps)
        return Saliency(maps, tuple(explanation.labels[row] for row in kept))

    def _maps(self, explanation: Explanation) -> Float[torch.Tensor, "text rows cols"]:
        weights = channel_weights(explanation)
        maps = torch.einsum("td,dhw->thw", weights, explanation.activations).clamp(min=0)
        return scale(scale(maps, self.epsilon), self.epsilon)


def channel_weights(explanation: Explanation) -> Float[torch.Tensor, "text width"]:
    """Return the gradient of every text's probability in the channels, patches averaged."""
    probability = explanation.logits.softmax(0)
    mean = probability @ explanation.gradients
    return probability[:, None] * (explanation.gradients - mean)
