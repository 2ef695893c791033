"""Captions that are true or false of an image, and where their names stand."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import BertTokenizerFast

from ovsskit.embedded.names import CLASSES
from tiny_models import captions
from tiny_models.dataset import Batch

FALSE_CAPTIONS: Final = 2
NAME_COUNTS: Final = (1, 2, 3, 4, 5)
COUNT_SHARES: Final = (0.25, 0.25, 0.25, 0.15, 0.1)
ONE_SWAPPED: Final = 0.88
ALL_WRONG: Final = 0.06


@dataclass(frozen=True)
class Names:
    """Every name in the captions: its caption, its first and last token, and whether it is true."""

    row: Int[Tensor, " names"]
    first: Int[Tensor, " names"]
    last: Int[Tensor, " names"]
    true: Float[Tensor, " names"]


@dataclass(frozen=True)
class Claims:
    """Captions that are true or false of an image, name by name."""

    captions: list[str]
    image: Int[Tensor, " captions"]
    true: Bool[Tensor, " captions"]
    names: list[list[tuple[str, bool]]]


def draw_claims(batch: Batch, rng: np.random.Generator) -> Claims:
    """Write one true caption per image and some false ones, most with one noun swapped."""
    texts, image, true, names_of = [], [], [], []
    for number, row in enumerate(batch.visible.tolist()):
        visible = [name for name, seen in zip(CLASSES, row, strict=True) if seen]
        for attempt in range(1 + FALSE_CAPTIONS):
            count = int(rng.choice(NAME_COUNTS, p=COUNT_SHARES))
            names = [str(name) for name in rng.permutation(visible)][:count]
            if attempt:
                names = spoil(rng, names, visible)
            texts.append(captions.caption(rng, names, plain=rng.random() < 0.7))
            image.append(number)
            true.append(attempt == 0)
            names_of.append([(name, name in visible) for name in names])
    return Claims(texts, torch.tensor(image), torch.tensor(true), names_of)


def spoil(rng: np.random.Generator, names: list[str], visible: list[str]) -> list[str]:
    """Make a list of names false of an image: one swapped, sometimes all, or a strange word."""
    kind = rng.random()
    if kind < ONE_SWAPPED:
        return captions.swap_one(rng, names, visible)
    if kind < ONE_SWAPPED + ALL_WRONG:
        absent = [name for name in CLASSES if name not in visible]
        return [str(name) for name in rng.choice(absent, len(names), replace=False)]
    strange = "".join(rng.choice(list("abcdefghijklmnoprstuvwyz"), int(rng.integers(3, 8))))
    spoilt = list(names)
    spoilt[int(rng.integers(len(names)))] = strange
    return spoilt


def find_names(tokenizer: BertTokenizerFast, claims: Claims) -> Names:
    """Find the tokens of every name."""
    rows, firsts, lasts, true = [], [], [], []
    encoded = tokenizer(claims.captions)
    for row, names in enumerate(claims.names):
        for name, right in names:
            start = claims.captions[row].index(name)
            rows.append(row)
            firsts.append(encoded.char_to_token(row, start))
            lasts.append(encoded.char_to_token(row, start + len(name) - 1))
            true.append(float(right))
    return Names(torch.tensor(rows), torch.tensor(firsts), torch.tensor(lasts), torch.tensor(true))


def fade_names(
    rng: np.random.Generator, names: Names, captions_to_fade: Int[Tensor, " faded"], tokens: int
) -> tuple[Float[Tensor, "faded tokens"], Float[Tensor, " faded"]]:
    """Choose one name of each caption and by how much it fades."""
    factors = torch.ones(len(captions_to_fade), tokens)
    factor = torch.from_numpy(rng.uniform(0, 0.95, len(captions_to_fade))).float()
    for place, row in enumerate(captions_to_fade.tolist()):
        chosen = int(rng.choice((names.row == row).nonzero()[:, 0].numpy()))
        factors[place, names.first[chosen] : names.last[chosen] + 1] = factor[place]
    return factors, factor
