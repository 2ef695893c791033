"""Let the scores of patches spread to patches that a guide finds alike, in all windows."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Nodes
from ovsskit.ops.conjugate_gradient import conjugate_gradient
from ovsskit.ops.nearest_affinity import nearest_affinity, normalise_degrees

TOLERANCE = 1e-6
Alpha = Annotated[float, Field(ge=0, lt=1, description="how far scores spread; 0: not at all")]
Iterations = Annotated[
    int, Field(ge=1, description="steps of conjugate gradients, at most, from 0")
]


class PatchGraph(Stage, writes="nodes"):
    """Solve (I - alpha S) z = y for all scores y, over a graph of all patches.

    Every patch is tied to those that its vector is most like, more where they are near; S are the
    ties, divided by the roots of how strongly both ends are tied. Ten steps of conjugate gradients,
    one system for each text, are part of the method: that is not the end of the solution. N patches
    make a matrix of 4 N^2 bytes (35 MB for 15 windows of 14 x 14).
    Source: LPOSS (CVPR 2025, arXiv 2503.19777), released code, which solves in double precision,
    and fails where there are fewer patches than neighbours.

    Example:
        [[stage]]
        use = "patch_graph"
        neighbours = 400
    """

    neighbours: Annotated[
        int, Field(ge=1, description="how many patches each is tied to, itself among them")
    ] = 400
    power: Annotated[
        float, Field(gt=0, description="to which cosines are raised; high is strict")
    ] = 3.0
    distance_scale: Annotated[
        float, Field(ge=0, description="by how much ties weaken with distance, per pixel")
    ] = 0.01
    distance_power: Annotated[
        float, Field(gt=0, description="to which distances, in pixels, are raised")
    ] = 1.0
    alpha: Alpha = 0.95
    iterations: Iterations = 10

    def run(self, nodes: Nodes) -> Nodes:
        """Return the same nodes with the scores that have spread."""
        ties = normalise_degrees(self.affinity(nodes))
        return replace(nodes, data=self.solve(nodes.data.float(), ties))

    def affinity(self, nodes: Nodes) -> Float[torch.Tensor, "node node"]:
        """Return how strongly every two patches are tied."""
        return nearest_affinity(
            nodes.vectors.float(),
            nodes.places.to(torch.get_default_dtype()),
            neighbours=self.neighbours,
            power=self.power,
            distance_scale=self.distance_scale,
            distance_power=self.distance_power,
        )

    def solve(
        self, scores: Float[torch.Tensor, "class node"], ties: Float[torch.Tensor, "node node"]
    ) -> Float[torch.Tensor, "class node"]:
        """Return the scores that have spread along ties."""
        return conjugate_gradient(
            lambda maps: torch.addmm(maps, maps, ties, alpha=-self.alpha),
            scores,
            iterations=self.iterations,
            tolerance=TOLERANCE,
        )
