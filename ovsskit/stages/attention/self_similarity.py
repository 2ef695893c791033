"""Compare the tokens inside a block with each other."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ovsskit._lazy import Float, torch
from ovsskit.engine.model import EncodesTokens
from ovsskit.engine.stage import Stage, TakesLayers
from ovsskit.engine.values import Hidden, Similarity
from ovsskit.stages.attention._layers import Layers, layers_in

Term = Literal["query_key", "query_query", "key_key", "value_value"]
PARTS = ("query", "key", "value")


class SelfSimilarity(Stage, writes="self_similarity"):
    """Compare tokens by their queries, keys or values, in chosen blocks, for every head.

    `query_key` is what the model was trained with. Tokens whose queries (keys, values) are alike
    tend to belong together, so that the others give maps that follow objects. GEM makes the vectors
    unit length, replaces them several times by what they gather from each other, and compares with
    a temperature that follows the length of the tokens.
    Source: SCLIP (query_query and key_key), ClearCLIP (query_query), NACLIP (key_key), GEM (all
    three), ITACLIP (as SCLIP, blocks 7, 8, 10 and 12).

    Example:
        [[stage]]
        use = "self_similarity"
        of = ["query_query", "key_key"]
        layers = [-1]
    """

    waits: ClassVar[str] = "a scale of `norms` is the mean length of a block's tokens"

    of: Annotated[
        tuple[Term, ...],
        Field(min_length=1, description="what is compared with what; several are kept apart"),
    ] = ("query_key",)
    layers: Layers = (-1,)
    normalise: Annotated[bool, Field(description="compare unit vectors")] = False
    iterations: Annotated[
        int,
        Field(
            ge=0,
            description="how often the vectors are first replaced by what they gather from each "
            "other",
        ),
    ] = 0
    scale: Annotated[
        Literal["width", "norms"] | Annotated[float, Field(gt=0)],
        Field(
            description="factor: one over the root of a head's width, that times the tokens' mean "
            "length, or a number"
        ),
    ] = "width"
    tokens: Annotated[
        Literal["all", "patches"],
        Field(description="what is compared: all tokens, or the patches alone"),
    ] = "all"

    def run(
        self, hidden: Annotated[Hidden, TakesLayers("layers")], backbone: EncodesTokens
    ) -> Similarity:
        """Return one matrix per block, term and head.

        Raises:
            BadValue: the image encoder has no such block, or its input was not kept.
        """
        layers = layers_in(self.address, self.layers, hidden, backbone)
        heads, tokens, _ = self._parts(hidden, layers[0], backbone)[0].shape
        data = hidden.data.new_empty(len(layers), len(self.of), heads, tokens, tokens)
        for target, layer in zip(data, layers, strict=True):
            self._compare(hidden, layer, backbone, target)
        return Similarity(data, layers, hidden.grid)

    def _compare(
        self,
        hidden: Hidden,
        layer: int,
        backbone: EncodesTokens,
        target: Float[torch.Tensor, "term head token token"],
    ) -> None:
        parts = dict(zip(PARTS, self._parts(hidden, layer, backbone), strict=True))
        scale = self._scale(hidden, layer, backbone, parts["query"].shape[-1])
        ready = {
            name: self._prepare(part, scale)
            for name, part in parts.items()
            if any(name in term for term in self.of)
        }
        for found, term in zip(target, self.of, strict=True):
            left, right = term.split("_")
            torch.matmul(ready[left] * scale, ready[right].transpose(-1, -2), out=found)

    def _parts(
        self, hidden: Hidden, layer: int, backbone: EncodesTokens
    ) -> tuple[Float[torch.Tensor, "head token depth"], ...]:
        first = hidden.others if self.tokens == "patches" else 0
        return tuple(part[:, first:] for part in backbone.project(hidden, layer))

    def _scale(self, hidden: Hidden, layer: int, backbone: EncodesTokens, width: int) -> float:
        if not isinstance(self.scale, str):
            return self.scale
        length = float(backbone.norms(hidden, layer).mean()) if self.scale == "norms" else 1.0
        return float(width**-0.5 * length)

    def _prepare(
        self, vectors: Float[torch.Tensor, "head token depth"], scale: float
    ) -> Float[torch.Tensor, "head token depth"]:
        for _ in range(self.iterations):
            vectors = self._unit(vectors)
            vectors = (vectors * scale @ vectors.transpose(-1, -2)).softmax(-1) @ vectors
        return self._unit(vectors)

    def _unit(
        self, vectors: Float[torch.Tensor, "head token depth"]
    ) -> Float[torch.Tensor, "head token depth"]:
        return torch.nn.functional.normalize(vectors, dim=-1) if self.normalise else vectors
