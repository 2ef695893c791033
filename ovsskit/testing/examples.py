"""Example values of every kind, from which the inputs of any stage can be made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from ovsskit._lazy import torch
from ovsskit.engine.values import (
    END,
    PROMPT,
    Attention,
    Caption,
    Captions,
    Confidences,
    CrossAttention,
    Hidden,
    Image,
    Labels,
    Logits,
    PatchFeatures,
    Present,
    Probabilities,
    Reward,
    Saliency,
    Scores,
    Similarity,
    Span,
    TextFeatures,
    TokenMaps,
    Vocabulary,
)
from ovsskit.recipe.vocabulary import make_vocabulary

NAMES = ("dog", "ice cream", "grass")
GRID = (4, 5)
SIZE = (24, 35)
LAYERS, HEADS = 12, 12
WIDTH = 8
TOKENS = 1 + GRID[0] * GRID[1]


def example(kind: Any, seed: int = 0) -> Any:
    """Return an example value of a kind; examples of one seed belong to the same image.

    Raises:
        KeyError: there is no example of this kind.
    """
    if isinstance(kind, TypeVar):
        kind = Saliency if kind.__bound__ is Scores else kind.__bound__
    if kind is Scores:
        kind = Saliency
    maps = _uniform(seed, len(NAMES), *SIZE)
    attention = _uniform(seed + 1, LAYERS, HEADS, 7, 1 + GRID[0] * GRID[1]).softmax(-1)
    positions = torch.tensor([PROMPT, PROMPT, PROMPT, 0, 1, 1, 2, END][1:])
    makers: dict[Any, Any] = {
        Image: lambda: Image((_uniform(seed + 2, 3, *SIZE) * 255).round() / 255, f"image{seed}"),
        Vocabulary: lambda: make_vocabulary(NAMES),
        Present: lambda: Present((1, 2, 3)),
        Captions: lambda: Captions((_caption(NAMES),)),
        CrossAttention: lambda: CrossAttention(
            attention,
            _uniform(seed + 3, *attention.shape) - 0.5,
            positions,
            tuple(range(1, LAYERS + 1)),
            tuple(range(HEADS)),
            GRID,
            (7,),
        ),
        TokenMaps: lambda: TokenMaps(_uniform(seed, 6, *GRID), positions[1:], (6,)),
        Hidden: lambda: Hidden(_uniform(seed, 2, TOKENS, WIDTH) - 0.5, (LAYERS - 1, LAYERS), GRID),
        Similarity: lambda: Similarity(
            _uniform(seed, 2, 2, 2, TOKENS, TOKENS) * 4, (LAYERS - 1, LAYERS), GRID
        ),
        Attention: lambda: Attention(
            (_uniform(seed, 2, 2, TOKENS, TOKENS) * 4).softmax(-1), (LAYERS - 1, LAYERS), GRID
        ),
        PatchFeatures: lambda: PatchFeatures(_uniform(seed, WIDTH, *GRID) - 0.5),
        TextFeatures: lambda: TextFeatures(
            torch.nn.functional.normalize(_uniform(seed, 4, WIDTH) - 0.5), (1, 2, 2, 3)
        ),
        Confidences: lambda: Confidences(maps, (1, 2, 3)),
        Saliency: lambda: Saliency(maps, (1, 2, 3)),
        Logits: lambda: Logits(maps * 8 - 4, (1, 2, 3)),
        Probabilities: lambda: Probabilities((maps * 4).softmax(0), (1, 2, 3)),
        Labels: lambda: Labels(maps.argmax(0) + 1),
        Reward: lambda: Reward(maps.mean()),
    }
    return makers[kind]()


def _caption(names: Sequence[str]) -> Caption:
    text, spans = "A picture of", []
    for position, name in enumerate(names):
        spans.append(Span(position, len(text) + 1, len(text) + 1 + len(name)))
        text += f" {name}"
    return Caption(text, tuple(spans))


def _uniform(seed: int, *shape: int) -> Any:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))
