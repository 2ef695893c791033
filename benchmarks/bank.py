"""Measure what a bank of unlabelled scenes is worth to the tiny CLIP, and how much of it is needed.

In `benchmarks/`, run `python bank.py [--scenes 48] [--sizes 25 50 100 200]`.
The scenes of the bank and those that are scored are painted anew, and differ from each other and
from those of the training. Nothing of their masks is used for the bank.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from ovsskit.bank.build import BankOptions, build_bank
from ovsskit.embedded import NOUNS
from ovsskit.engine.images import read_image
from ovsskit.engine.notices import Silent
from ovsskit.engine.stage import Stage
from ovsskit.ops.metrics import confusion, mean_iou
from ovsskit.run.pipeline import Pipeline, load
from tiny_models.evaluate import evaluation_scenes
from tiny_models.scenes import Scene

BANK_SEED, SCORED_SEED = 310_000_000, 320_000_000
RECIPE = "reco_tiny"
PROTOTYPES = ("affinity_patches", "read_bank", "prototype_similarity", "sigmoid", "upsample")


def text_alone(stages: Sequence[Stage]) -> list[Stage]:
    """Return the recipe without prototypes: what stands inside the mix stands in its place."""
    kept: list[Stage] = []
    for stage in stages:
        kept += getattr(stage, "inner", ()) or ([] if stage.address in PROTOTYPES else [stage])
    return kept


def prototypes_alone(stages: Sequence[Stage]) -> list[Stage]:
    """Return the recipe without texts."""
    return [stage for stage in stages if stage.address not in ("mix", "encode_text")]


def score(pipeline: Pipeline, stages: Sequence[Stage], scenes: Sequence[Scene]) -> float:
    """Return the mean IoU of these stages in per cent; all backgrounds count as one class."""
    plan = replace(pipeline.plan, stages=tuple(stages))
    images = [read_image(scene.image) for scene in scenes]
    total = torch.zeros(len(NOUNS) + 1, len(NOUNS) + 1, dtype=torch.int64)
    states = Pipeline(plan, device="cpu").run_many(images, plan.vocabulary)
    for scene, state in zip(scenes, states, strict=True):
        true = torch.from_numpy(scene.things).long()
        total += confusion(true, state["labels"].ids.long(), len(NOUNS) + 1)
    return 100 * mean_iou(total)


def main() -> None:
    """Read the command line and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=48)
    parser.add_argument("--sizes", type=int, nargs="+", default=[25, 50, 100, 200])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    archive = evaluation_scenes(max(asked.sizes), first_seed=BANK_SEED)
    scored = evaluation_scenes(asked.scenes, first_seed=SCORED_SEED)
    table = Table("images in the bank", "prototypes alone", "prototypes times texts")
    with tempfile.TemporaryDirectory() as name:
        folder, plain = Path(name), load(RECIPE, device="cpu")
        table.add_row(
            "none: texts alone", "", f"{score(plain, text_alone(plain.plan.stages), scored):.1f}"
        )
        for index, scene in enumerate(archive):
            scene.image.save(folder / f"scene_{index:03}.png")
        for size in asked.sizes:
            images = tuple(str(folder / f"scene_{index:03}.png") for index in range(size))
            out = folder / f"bank_{size}.safetensors"
            build_bank(BankOptions(RECIPE, out=out, images=images, device="cpu"), Silent())
            pipeline = load(RECIPE, f"read_bank.file={out}", device="cpu")
            alone = score(pipeline, prototypes_alone(pipeline.plan.stages), scored)
            both = score(pipeline, pipeline.plan.stages, scored)
            table.add_row(str(size), f"{alone:.1f}", f"{both:.1f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
