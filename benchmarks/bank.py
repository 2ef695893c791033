"""Measure what a bank of unlabelled scenes is worth to the tiny CLIP, and how much of it is needed.

In `benchmarks/`, run `python bank.py [--scenes 48] [--sizes 25 50 100 200]`.
The scenes of the bank and those that are scored are painted anew, and differ from each other and
from those of the training. Nothing of their masks is used for the bank.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
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
from ovsskit.engine.store import Store
from ovsskit.ops.metrics import confusion, mean_iou
from ovsskit.run.pipeline import Pipeline, load
from tiny_models.evaluate import evaluation_scenes
from tiny_models.scenes import Scene

BANK_SEED, SCORED_SEED = 310_000_000, 320_000_000
PROTOTYPES, REGIONS = "reco_tiny", "ovsskit_bank_tiny"
ABOUT_PROTOTYPES = ("affinity_patches", "read_bank", "prototype_similarity", "sigmoid", "upsample")
LOOKING_UP = ("retrieve", "mix_region_scores")
Row = tuple[str, str, str]
"""What a line of a table says: which bank, and two mean IoUs in per cent."""


def text_alone(stages: Sequence[Stage]) -> list[Stage]:
    """Return the recipe without prototypes: what stands inside the mix stands in its place."""
    kept: list[Stage] = []
    for stage in stages:
        kept += getattr(stage, "inner", ()) or (
            [] if stage.address in ABOUT_PROTOTYPES else [stage]
        )
    return kept


def prototypes_alone(stages: Sequence[Stage]) -> list[Stage]:
    """Return the recipe without texts."""
    return [stage for stage in stages if stage.address not in ("mix", "encode_text")]


def score(pipeline: Pipeline, stages: Sequence[Stage], scenes: Sequence[Scene]) -> float:
    """Return the mean IoU of these stages in per cent; all backgrounds count as one class."""
    plan = replace(pipeline.plan, stages=tuple(stages))
    images = [read_image(scene.image) for scene in scenes]
    total = torch.zeros(len(NOUNS) + 1, len(NOUNS) + 1, dtype=torch.int64)
    states = Pipeline(plan, device="cpu", store=pipeline.store).run_many(images, plan.vocabulary)
    for scene, state in zip(scenes, states, strict=True):
        true = torch.from_numpy(scene.things).long()
        total += confusion(true, state["labels"].ids.long(), len(NOUNS) + 1)
    return 100 * mean_iou(total)


def prototypes(scored: Sequence[Scene], folder: Path, sizes: Sequence[int]) -> Iterator[Row]:
    """Yield what banks of prototypes are worth, after what is reached without one."""
    plain = load(PROTOTYPES, device="cpu")
    yield "none: texts alone", "", f"{score(plain, text_alone(plain.plan.stages), scored):.1f}"
    for size in sizes:
        bank = build(PROTOTYPES, folder, size)
        pipeline = load(PROTOTYPES, f"read_bank.file={bank}", device="cpu")
        alone = score(pipeline, prototypes_alone(pipeline.plan.stages), scored)
        yield str(size), f"{alone:.1f}", f"{score(pipeline, pipeline.plan.stages, scored):.1f}"


def regions(scored: Sequence[Scene], folder: Path, sizes: Sequence[int]) -> Iterator[Row]:
    """Yield what banks of regions are worth, after what is reached without one.

    The last one is that of the scored scenes themselves, none of which finds its own regions.
    """
    store = Store(folder / "store")  # networks see the scored scenes once
    plain = load(REGIONS, device="cpu", store=store)
    without = [one for one in plain.plan.stages if one.address not in LOOKING_UP]
    yield "none", "", f"{score(plain, without, scored):.1f}"
    own = folder / "scored"
    own.mkdir()
    for index, scene in enumerate(scored):
        scene.image.save(own / f"scene_{index:03}.png")
    banks = {str(size): build(REGIONS, folder, size) for size in sizes}
    banks[f"the {len(scored)} themselves"] = build(REGIONS, own, len(scored))
    for said, bank in banks.items():
        found = []
        for weight in (1, 0.5):
            sets = f"retrieve.file={bank}", f"mix_region_scores.weight={weight}"
            pipeline = load(REGIONS, *sets, device="cpu", store=store)
            found.append(f"{score(pipeline, pipeline.plan.stages, scored):.1f}")
        yield said, found[0], found[1]


def build(recipe: str, folder: Path, size: int) -> Path:
    """Build a bank of the first scenes in a folder, and return its file."""
    images = tuple(str(folder / f"scene_{index:03}.png") for index in range(size))
    out = folder / f"{recipe}_{size}.safetensors"
    return build_bank(BankOptions(recipe, out=out, images=images, device="cpu"), Silent())


def main() -> None:
    """Read the command line and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=48)
    parser.add_argument("--sizes", type=int, nargs="+", default=[25, 50, 100, 200])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    archive = evaluation_scenes(max(asked.sizes), first_seed=BANK_SEED)
    scored = evaluation_scenes(asked.scenes, first_seed=SCORED_SEED)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index, scene in enumerate(archive):
            scene.image.save(folder / f"scene_{index:03}.png")
        for rows, kind, with_it in (
            (prototypes, "prototypes", "prototypes times texts"),
            (regions, "regions of the bank", "half regions of the bank, half patches"),
        ):
            table = Table("images in the bank", f"{kind} alone", with_it)
            for row in rows(scored, folder, asked.sizes):
                table.add_row(*row)
            Console(width=100).print(table)


if __name__ == "__main__":
    main()
