"""Compare queries with keys that were turned towards them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.model import EncodesTokens
from ovsskit.engine.stage import Stage, TakesLayers
from ovsskit.engine.values import Hidden, Similarity
from ovsskit.stages.attention._layers import Layers, layers_in

EPSILON = 1e-6


class ProcrustesSimilarity(Stage, writes="self_similarity"):
    """Turn a head's keys so that they fit its queries best, and compare the two.

    The turn solves the orthogonal Procrustes problem of keys and queries around their means, which
    are weighed by the lengths of the patches' queries. Keys around their mean, compared with each
    other, are added. A few steps of Newton-Schulz leave a turn that is far from orthogonal:
    directions in which keys and queries have little in common are damped instead, and that is part
    of the released method. `exact` turns all of them.
    Source: PEARL (arXiv 2603.21528), released code.

    Example:
        [[stage]]
        use = "procrustes_similarity"
        key_weight = 0.08
    """

    layers: Layers = (-1,)
    key_weight: Annotated[
        float, Field(ge=0, description="weight of keys compared with keys; 0 leaves them out")
    ] = 0.08
    rotation: Annotated[
        Literal["newton_schulz", "exact"],
        Field(description="how the turn is found: by some steps, or as it is (by SVD)"),
    ] = "newton_schulz"
    iterations: Annotated[int, Field(ge=1, description="steps of Newton-Schulz")] = 5

    def run(
        self, hidden: Annotated[Hidden, TakesLayers("layers")], backbone: EncodesTokens
    ) -> Similarity:
        """Return one matrix per block and head.

        Raises:
            BadValue: the image encoder has no such block, or its input was not kept.
        """
        layers = layers_in(self.address, self.layers, hidden, backbone)
        found = []
        for layer in layers:
            queries, keys, _ = (part.float() for part in backbone.project(hidden, layer))
            found.append(self._compare(queries, keys, hidden.others))
        return Similarity(torch.stack(found)[:, None], layers, hidden.grid)

    def _compare(
        self,
        queries: Float[torch.Tensor, "head token depth"],
        keys: Float[torch.Tensor, "head token depth"],
        others: int,
    ) -> Float[torch.Tensor, "head token token"]:
        weights = token_weights(queries, others)
        keys_around, queries_around = (part - mean(part, weights) for part in (keys, queries))
        covariance = keys_around.transpose(1, 2) @ queries_around
        turn = (
            exact_rotation(covariance)
            if self.rotation == "exact"
            else nearly_rotation(covariance, self.iterations)
        )
        scale = queries.shape[-1] ** -0.5
        similarity: torch.Tensor = queries * scale @ (keys @ turn).transpose(1, 2)
        if self.key_weight:
            similarity += self.key_weight * scale * (keys_around @ keys_around.transpose(1, 2))
        return similarity


def token_weights(
    queries: Float[torch.Tensor, "head token depth"], others: int
) -> Float[torch.Tensor, "head token one"]:
    """Return what share each token has in the means: by its query's length; 0 for the `others`.

    These stand first, and are no patches: the class token, and those beside it.
    """
    weights: torch.Tensor = queries.norm(dim=-1, keepdim=True)
    weights[:, :others] = 0
    return weights / (weights.sum(1, keepdim=True) + EPSILON)


def mean(
    vectors: Float[torch.Tensor, "head token depth"], weights: Float[torch.Tensor, "head token one"]
) -> Float[torch.Tensor, "head one depth"]:
    """Return the mean of each head's vectors by these weights."""
    found: torch.Tensor = (weights * vectors).sum(1, keepdim=True)
    return found


def exact_rotation(
    matrices: Float[torch.Tensor, "head depth depth"],
) -> Float[torch.Tensor, "head depth depth"]:
    """Return the orthogonal matrices nearest to these."""
    left, _, right = torch.linalg.svd(matrices)
    rotation: torch.Tensor = left @ right
    return rotation


def nearly_rotation(
    matrices: Float[torch.Tensor, "head depth depth"], iterations: int
) -> Float[torch.Tensor, "head depth depth"]:
    """Return what some coupled steps of Newton-Schulz make of M (M'M)^(-1/2)."""
    squares = matrices.transpose(1, 2) @ matrices
    norms = squares.flatten(1).norm(dim=1).clamp_min(EPSILON)[:, None, None]
    one = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
    root, inverse = squares / norms + EPSILON * one, one.expand_as(squares)
    for _ in range(iterations):
        step = (3 * one - inverse @ root) / 2
        root, inverse = root @ step, step @ inverse
    rotation: torch.Tensor = matrices @ inverse / norms.sqrt()
    return rotation
