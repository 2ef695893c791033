"""Let scores spread between pixels of like colour."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from ovsskit._lazy import Float, kornia, torch
from ovsskit.engine.sending import send_numbers
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image, Logits
from ovsskit.ops.conjugate_gradient import conjugate_gradient
from ovsskit.ops.shifted_ties import ShiftedTies, tie_by_colour
from ovsskit.stages.graph.patch_graph import TOLERANCE, Alpha, Iterations

LAB = (100.0, 128.0, 128.0)
"""What lightness, a and b are divided by."""
MAPS_AT_ONCE = 8
"""Maps that are solved for together: five such groups are in memory."""


class PixelGraph(Stage, writes="scores"):
    """Solve (I - alpha S) z = y for all maps y, over a graph of the image's pixels.

    A pixel is tied to those around it by exp(-d / colour_scale), d the distance of their colours in
    Lab; S are the ties, divided by the roots of how strongly both ends are tied. Maps of another
    size are resized bilinearly first. No matrix is made: 84 maps hold the ties of radius 6, and
    their mirrors.
    Source: LPOSS+ (CVPR 2025, arXiv 2503.19777), released code, whose radius is half of its r = 13,
    rounded down.

    Example:
        [[stage]]
        use = "pixel_graph"
        reads = { image = "resized" }
        colour_scale = 0.01
    """

    waits: ClassVar[str] = "kornia brings the two constants of Lab to the device"

    radius: Annotated[
        int, Field(ge=1, description="how many rows and columns away the farthest neighbours are")
    ] = 6
    colour_scale: Annotated[
        float,
        Field(
            gt=0,
            description="how much colours may differ, in Lab of which lightness goes from 0 to 1",
        ),
    ] = 0.01
    alpha: Alpha = 0.95
    iterations: Iterations = 10

    def run(self, scores: Logits, image: Image) -> Logits:
        """Return the maps at the size of the image."""
        maps = scores.data.float()
        if maps.shape[1:] != image.size:
            maps = torch.nn.functional.interpolate(maps[None], image.size, mode="bilinear")[0]
        ties = self.ties(image).normalised()
        groups = maps.flatten(1).split(MAPS_AT_ONCE)
        solved = torch.cat([self.solve(group, ties) for group in groups])
        return scores.with_data(solved.unflatten(1, image.size))

    def ties(self, image: Image) -> ShiftedTies:
        """Return how strongly pixels are tied."""
        lab = kornia.color.rgb_to_lab(image.data)
        return tie_by_colour(
            lab / send_numbers(LAB, lab)[:, None, None], self.radius, self.colour_scale
        )

    def solve(
        self, maps: Float[torch.Tensor, "map pixel"], ties: ShiftedTies
    ) -> Float[torch.Tensor, "map pixel"]:
        """Return the maps that have spread along ties."""
        return conjugate_gradient(
            lambda found: found - self.alpha * ties.gather(found),
            maps,
            iterations=self.iterations,
            tolerance=TOLERANCE,
        )
