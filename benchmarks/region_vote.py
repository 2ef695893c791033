"""Measure what a vote of SLIC's pieces does to the labels of recipes on the tiny models.

Run `python benchmarks/region_vote.py [RECIPE ...] [--fresh 100] [--pieces 50 100 200]`. Without
`--fresh` the images are the packaged scenes.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ablation import fresh, samples, score

RECIPES = ["clip_baseline_tiny", "clearclip_tiny", "itaclip_tiny"]

VOTE = """
[models.masks]
use = "slic"
pieces = {pieces}

[[stage]]
use   = "propose_masks"
reads = {{ backbone = "masks" }}
after = "label_map"

[[stage]]
use   = "paint_regions"
after = "propose_masks"

[[stage]]
use   = "region_vote"
after = "paint_regions"
"""
"""What is added to a recipe."""


def main() -> None:
    """Print mIoU before and after the vote."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--fresh", type=int, default=0)
    parser.add_argument("--seed", type=int, default=50_000_000)
    parser.add_argument("--pieces", type=int, nargs="+", default=[50, 100, 200, 400])
    given = parser.parse_args()
    examples = fresh(given.fresh, "training", given.seed) if given.fresh else samples()
    table = Table("recipe", "as it is", *(f"{count} pieces" for count in given.pieces))
    with tempfile.TemporaryDirectory() as folder:
        for recipe in given.recipes:
            changes = [VOTE.format(pieces=count) for count in given.pieces]
            found = [score(recipe, one, examples, Path(folder))[0] for one in ("", *changes)]
            table.add_row(recipe, *(f"{miou:.1f}" for miou in found))
    Console().print(table)


if __name__ == "__main__":
    main()
