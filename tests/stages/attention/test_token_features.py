from __future__ import annotations

from typing import Any

import pytest
import torch

from ovsskit.engine.values import Hidden
from ovsskit.errors import BadValue
from ovsskit.stages.attention.token_features import TokenFeatures
from ovsskit.testing import ToyBackbone, example

TOY = ToyBackbone()


def test_tokens_are_the_patches_that_enter_the_block() -> None:
    hidden = example(Hidden)
    found = TokenFeatures(layer=11).run(hidden, TOY)
    assert torch.equal(found.vectors, hidden.entering(11)[1:])


@pytest.mark.parametrize("facet", ["query", "key", "value", "query_key"])
def test_facets_have_the_heads_side_by_side(facet: Any) -> None:
    hidden = example(Hidden)
    found = TokenFeatures(facet=facet).run(hidden, TOY)
    queries, keys, values = TOY.project(hidden, 12)
    wanted = {"query": queries, "key": keys, "value": values, "query_key": queries + keys}[facet]
    for patch in range(wanted.shape[1] - 1):
        expected = torch.cat([head[1 + patch] for head in wanted])
        torch.testing.assert_close(found.vectors[patch], expected)


def test_a_block_whose_input_was_not_kept() -> None:
    with pytest.raises(BadValue, match="asks for 4"):
        TokenFeatures(layer=4).run(example(Hidden), TOY)
