"""Search for the nearest of many vectors that are read part by part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ovsskit._lazy import Bool, Float, Int, torch


@dataclass(frozen=True, eq=False)
class Part:
    """Hold some keys, and for every group of queries which of them it may not find."""

    keys: Float[torch.Tensor, "key width"]
    hidden: Sequence[Bool[torch.Tensor, " key"]]


@dataclass(frozen=True, eq=False)
class Found:
    """Hold the nearest keys of every query, the best first; minus infinity where there is none."""

    products: Float[torch.Tensor, "query count"]
    places: Int[torch.Tensor, "query count"]


def nearest_keys(
    groups: Sequence[Float[torch.Tensor, "_ width"]], parts: Iterable[Part], count: int
) -> list[Found]:
    """Return the keys of greatest inner product with each query, for every group of queries.

    Every key is compared; what is held at a time is one part, and the best so far. A group's result
    does not depend on the others. Keys are numbered over all parts.
    """
    best = [
        Found(
            one.new_full((len(one), count), -torch.inf),
            torch.zeros(len(one), count, dtype=torch.int64, device=one.device),
        )
        for one in groups
    ]
    start = 0
    for part in parts:
        keys, hidden = part.keys, part.hidden
        places = torch.arange(start, start + len(keys), device=keys.device)
        for number, queries in enumerate(groups):
            products = (queries @ keys.T).masked_fill(hidden[number], -torch.inf)
            old = best[number]
            together = torch.cat((old.products, products), 1)
            known = torch.cat((old.places, places.expand(len(queries), -1)), 1)
            top, chosen = together.topk(count, 1)
            best[number] = Found(top, known.gather(1, chosen))
        start += len(keys)
    return best
