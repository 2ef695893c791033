"""Compare the region tokens and the scope of CorrCLIP with a plain loop, at equal results.

Run `python benchmarks/corrclip.py [--regions 4 16 64]`. The plain loop follows the released code:
copies of the class token stand in one row with all tokens through all blocks, behind a mask, and
the scope is painted by a loop over pairs of regions. A CLIP of full size (ViT-B/16) with random
weights sees a window of 336 pixels; the guide's grid is twice as fine. Each number is the median of
several runs in one process, in the processor's time on one thread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from itaclip import MODEL, make_weights
from ovsskit.backbones.clip.clip import Clip
from ovsskit.engine.values import Image, PatchSimilarity, Regions
from ovsskit.stages.regions.region_scope import RegionScope
from ovsskit.stages.regions.region_tokens import run_copies

SIDE, FINE = 21, 42
"""Patches along a side of the window: CLIP's and the guide's."""


def make_regions(count: int) -> Regions:
    """Return regions of an image that no line tells apart, some of it in none."""
    places = torch.rand(count, 2, generator=torch.Generator().manual_seed(count)) * FINE
    grid = torch.cartesian_prod(torch.arange(FINE), torch.arange(FINE)).float()
    nearest = torch.cdist(grid, places).argmin(1)
    return Regions(nearest.view(FINE, FINE))


def ours(clip: Clip, image: Image, inside: torch.Tensor) -> torch.Tensor:
    """Return the copies, and run the network for the tokens that they look at."""
    layers = tuple(range(1, clip.block_count + 1))
    [hidden] = clip.hidden([image], layers)
    return run_copies(hidden, layers, inside, clip)


def ours_again(clip: Clip, image: Image) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what makes the copies for tokens that are there, as in a study."""
    layers = tuple(range(1, clip.block_count + 1))
    [hidden] = clip.hidden([image], layers)
    return lambda inside: run_copies(hidden, layers, inside, clip)


def plain(clip: Clip, image: Image, inside: torch.Tensor) -> torch.Tensor:
    """Return the copies after blocks that all tokens go through in one row, behind a mask."""
    [hidden] = clip.hidden([image], [1])
    tokens, count = hidden.entering(1), len(inside)
    hides = torch.zeros(count + len(tokens), count + len(tokens))
    hides[:, :count] = -torch.inf
    for index in range(count):
        hides[index, count + 1 :][~inside[index]] = -torch.inf
    row = torch.cat([tokens[:1].expand(count, -1), tokens])[None]
    for block in clip.visual.transformer.resblocks:
        seen = block.ln_1(row)
        row = row + block.attn(seen, seen, seen, attn_mask=hides, need_weights=False)[0]
        row = row + block.mlp(block.ln_2(row))
    copies: torch.Tensor = row[0, :count]
    return copies


def plain_scope(similarity: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
    """Return the similarity with pairs of unlike regions taken out, pair by pair."""
    numbers, keep = regions.flatten(), torch.ones_like(similarity, dtype=torch.bool)
    above = similarity > similarity.mean()
    for one in numbers.unique():
        for other in numbers.unique():
            pair = (numbers == one)[:, None] & (numbers == other)
            if 0 in (int(one), int(other)):
                keep[pair] = above[pair]
            elif one != other:
                keep[pair] = False
    return similarity.masked_fill(~keep, -torch.inf)


def seconds(compute: Callable[[], Any], runs: int = 5) -> float:
    """Return the median time that the processor takes for a computation."""
    compute()
    found = []
    for _ in range(runs):
        start = time.process_time()
        compute()
        found.append(time.process_time() - start)
    return median(found)


def main() -> None:
    """Print times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--regions", type=int, nargs="+", default=[4, 16, 64])
    given = parser.parse_args()
    torch.set_num_threads(1)
    columns = ("regions", "copies: plain", "ours", "times", "tokens known", "times")
    table = Table(*columns, "scope: plain", "ours", "times")
    image = Image(torch.rand(3, 16 * SIDE, 16 * SIDE, generator=torch.Generator().manual_seed(1)))
    vectors = torch.nn.functional.normalize(torch.randn(FINE * FINE, 64), dim=1)
    similarity = PatchSimilarity(vectors @ vectors.T, (FINE, FINE))
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        make_weights(Path(folder))
        clip = Clip(weights=str(Path(folder) / "weights.safetensors"), model=MODEL)
        again = ours_again(clip, image)
        for count in given.regions:
            regions = make_regions(count)
            small = regions.resized((SIDE, SIDE)).data.flatten()
            inside = small == small.unique()[:, None]
            torch.testing.assert_close(
                ours(clip, image, inside), plain(clip, image, inside), atol=1e-3, rtol=1e-3
            )
            mine = RegionScope().run(similarity, regions).data
            assert torch.equal(mine, plain_scope(similarity.data, regions.data))
            times = [
                seconds(partial(plain, clip, image, inside)),
                seconds(partial(ours, clip, image, inside)),
                seconds(partial(again, inside)),
                seconds(partial(plain_scope, similarity.data, regions.data)),
                seconds(partial(RegionScope().run, similarity, regions)),
            ]
            row = [f"{one * 1e3:.0f} ms" for one in times]
            ratios = [times[0] / times[1], times[0] / times[2], times[3] / times[4]]
            first, second, third = (f"{ratio:.1f}" for ratio in ratios)
            table.add_row(str(count), *row[:2], first, row[2], second, *row[3:], third)
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
