"""Turn how alike tokens are into weights."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Attention, Similarity


class SelfAttention(Stage, writes="self_attention"):
    """Take the softmax over what a token looks at, of every term apart, and put the terms together.

    Source: SCLIP and ITACLIP sum two terms, so that a token's weights sum to 2; GEM takes the mean
    of three.

    Example:
        [[stage]]
        use = "self_attention"
        terms = "mean"
    """

    terms: Annotated[Literal["sum", "mean"], Field(description="how several terms become one")] = (
        "sum"
    )

    def run(self, self_similarity: Similarity) -> Attention:
        """Return one map of weights per block and head."""
        terms = self_similarity.data.unbind(1)
        total = terms[0].softmax(-1)
        for term in terms[1:]:
            total += term.softmax(-1)
        if self.terms == "mean":
            total /= len(terms)
        return Attention(total, self_similarity.layers, self_similarity.grid)
