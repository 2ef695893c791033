"""Let things be where the foreground is, and the background elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.sending import send_places
from ovsskit.engine.stage import S, Stage
from ovsskit.engine.values import ForegroundMap, Probabilities


class GateBackground(Stage, writes="scores"):
    """Multiply the classes' maps by the foreground, and the background's by what it leaves.

    Maps without one of the background get one first, the highest of the classes at every place: so
    the background wins where it is likelier than the foreground, on any scale of scores.
    Probabilities are divided by their sum again. A score below zero would grow by being multiplied;
    so all maps are raised where the lowest is below zero, until that is zero. The released code
    does not; with a trained CLIP, no cosine is negative.
    Source: Wysoczanska et al. 2024, CLIP-DIY.

    Example:
        [[stage]]
        use = "gate_background"
    """

    negative: Annotated[
        Literal["raise", "released"],
        Field(description="what becomes of scores below zero; `released`: they are multiplied"),
    ] = "raise"

    def run(self, scores: S, foreground: ForegroundMap) -> S:
        """Return the maps, those of the background (label 0) first."""
        data = scores.data
        if self.negative == "raise":
            data = data - data.amin(0).clamp(max=0)
        labels = scores.labels
        if 0 not in labels:
            data, labels = torch.cat([data.amax(0, keepdim=True), data]), (0, *labels)
        gate = fit(foreground.data, data.shape[1:]).to(data)
        is_background = send_places(labels, data.device) == 0
        gated = torch.where(is_background[:, None, None], 1 - gate, gate) * data
        if isinstance(scores, Probabilities):
            gated = gated / gated.sum(0).clamp(min=torch.finfo(gated.dtype).tiny)
        return type(scores)(gated, labels)


def fit(plane: Float[torch.Tensor, "rows cols"], size: Sequence[int]) -> Float[torch.Tensor, "h w"]:
    """Resize a map bilinearly, edges on edges, unless it has the size."""
    if plane.shape == tuple(size):
        return plane
    resized: torch.Tensor = torch.nn.functional.interpolate(
        plane[None, None], size, mode="bilinear"
    )[0, 0]
    return resized
