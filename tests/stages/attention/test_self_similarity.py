from __future__ import annotations

from typing import Any

import pytest
import torch

from ovsskit.engine.values import Hidden
from ovsskit.errors import BadValue
from ovsskit.stages.attention.self_similarity import SelfSimilarity
from ovsskit.testing import ToyBackbone, example

TOY = ToyBackbone()
close = torch.testing.assert_close


def reference(left: torch.Tensor, right: torch.Tensor, scale: float) -> torch.Tensor:
    """Compare every two tokens by a loop."""
    heads, tokens, _ = left.shape
    found = torch.empty(heads, tokens, tokens)
    for head in range(heads):
        for one in range(tokens):
            for other in range(tokens):
                found[head, one, other] = scale * float(
                    left[head, one].double() @ right[head, other].double()
                )
    return found


def test_terms_and_layers_against_a_loop() -> None:
    hidden = example(Hidden)
    names: dict[str, Any] = {"query": 0, "key": 1, "value": 2}
    terms: Any = ("query_key", "query_query", "key_key", "value_value")
    found = SelfSimilarity(of=terms, layers=(-1, 11)).run(hidden, TOY)
    assert found.layers == (11, 12)
    for row, layer in enumerate(found.layers):
        parts = TOY.project(hidden, layer)
        for column, term in enumerate(terms):
            left, right = (parts[names[part]] for part in term.split("_"))
            close(
                found.data[row, column],
                reference(left, right, left.shape[-1] ** -0.5),
                atol=1e-5,
                rtol=1e-5,
            )


def test_unit_vectors_that_gather_from_each_other_with_the_tokens_temperature() -> None:
    hidden = example(Hidden)
    found = SelfSimilarity(
        of=("key_key",), layers=(12,), normalise=True, iterations=2, scale="norms"
    ).run(hidden, TOY)
    tokens = hidden.data[-1].double()
    keys = TOY.project(hidden, 12)[1].double()
    beta = (
        keys.shape[-1] ** -0.5 * sum(float(token @ token) ** 0.5 for token in tokens) / len(tokens)
    )
    for head, mine in enumerate(keys):
        for _ in range(2):
            mine = mine / (mine**2).sum(1, keepdim=True).sqrt()
            weights = torch.exp(beta * mine @ mine.T)
            mine = (weights / weights.sum(1, keepdim=True)) @ mine
        mine = mine / (mine**2).sum(1, keepdim=True).sqrt()
        close(found.data[0, 0, head], (beta * mine @ mine.T).float(), atol=1e-4, rtol=1e-4)
    fixed = SelfSimilarity(of=("key_key",), normalise=True, iterations=2, scale=beta).run(
        hidden, TOY
    )
    close(fixed.data, found.data, atol=1e-4, rtol=1e-4)


def test_blocks_that_are_not_there_or_were_not_kept() -> None:
    with pytest.raises(BadValue, match="has 12 blocks"):
        SelfSimilarity(layers=(13,)).run(example(Hidden), TOY)
    with pytest.raises(
        BadValue, match="asks for 7, and what enters the blocks was kept for 11, 12 only"
    ):
        SelfSimilarity(layers=(7, 12)).run(example(Hidden), TOY)


def test_patches_alone_are_compared_as_among_all_tokens() -> None:
    hidden = example(Hidden)
    every, patches = (
        SelfSimilarity(of=("key_key", "query_key"), tokens=tokens).run(hidden, TOY)
        for tokens in ("all", "patches")
    )
    assert (every.others, patches.others) == (1, 0)
    close(patches.data, every.data[..., 1:, 1:])
