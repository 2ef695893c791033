"""Make what follows a word: tokens of words that are like it, and of what it is a kind of.

Source: ActiveSAM (arXiv 2606.16996), section on contextual prompt expansion, and released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ovsskit._lazy import Bool, Float, Int, torch


def mean_inputs(
    network: Any, ids: Int[torch.Tensor, "text token"], mask: Bool[torch.Tensor, "text token"]
) -> Float[torch.Tensor, "text inner"]:
    """Return the mean of what enters the text encoder for the tokens of each text."""
    inputs: torch.Tensor = network.text_encoder.get_input_embeddings()(ids) * mask[..., None]
    return inputs.sum(1) / mask.sum(1, keepdim=True)


def nearest(
    words: Float[torch.Tensor, "word inner"], count: int
) -> Float[torch.Tensor, "word neighbour inner"]:
    """Return for each word the vectors of others that are most alike, weighted by how much."""
    unit = torch.nn.functional.normalize(words.float(), dim=1)
    alike = (unit @ unit.T).fill_diagonal_(-torch.inf)
    cosines, rows = alike.topk(count, dim=1)
    weighted: torch.Tensor = words.float()[rows] * cosines.softmax(1)[..., None]
    return weighted


def place_kinds(
    hypernyms: Sequence[Sequence[str]], texts: Sequence[str]
) -> tuple[Int[torch.Tensor, "word kind"], Bool[torch.Tensor, "word kind"]]:
    """Return where the hypernyms of each word stand among `texts`, and where it has one."""
    rows = torch.zeros(len(hypernyms), max(map(len, hypernyms)), dtype=torch.int64)
    mask = torch.zeros_like(rows, dtype=torch.bool)
    for word, kinds in enumerate(hypernyms):
        for place, kind in enumerate(kinds):
            rows[word, place], mask[word, place] = texts.index(kind), True
    return rows, mask
