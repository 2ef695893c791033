"""Compare cast weights with autocast: how many labels stay those of float32, and what mIoU is left.

    python benchmarks/precision.py
    python benchmarks/precision.py --recipes naclip_tiny quickstart --images 8

Each recipe on embedded weights runs on sample scenes four times in half precision: its models cast
to bf16 or fp16, or left in float32 and run under torch's autocast.
"""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import ovsskit
from ovsskit.engine.model import Backbone
from ovsskit.run.pipeline import Pipeline
from ovsskit.run.samples import sample_images, sample_score

FORMATS = {"bf16": torch.bfloat16, "fp16": torch.float16}
RECIPES = (
    "clearclip_tiny",
    "gem_tiny",
    "ifseg_tiny",
    "naclip_tiny",
    "proxyclip_tiny",
    "quickstart",
    "sclip_tiny",
)


def cast(pipeline: Pipeline, precision: str) -> Pipeline:
    """Return a pipeline whose models compute in a precision, as a recipe asks for it."""
    models = {name: _cast(model, precision) for name, model in pipeline.plan.models.items()}
    return Pipeline(replace(pipeline.plan, models=models), device="cpu")


def _cast(model: Backbone, precision: str) -> Backbone:
    if "precision" not in type(model).model_fields:
        return model
    settings = {name: getattr(model, name) for name in type(model).model_fields}
    return type(model)(**{**settings, "precision": precision})


def label(
    pipeline: Pipeline, images: list[Path], autocast: torch.dtype | None = None
) -> tuple[list[torch.Tensor], float, float]:
    """Return the labels of images, their mIoU from 0 to 1, and the seconds that they took."""
    around = nullcontext() if autocast is None else torch.autocast("cpu", autocast)
    start = time.perf_counter()
    with around:
        results = pipeline(images)
    seconds = time.perf_counter() - start
    with TemporaryDirectory() as folder:
        masks = [Path(folder, f"{image.stem}.png") for image in images]
        for mask, result in zip(masks, results, strict=True):
            result.save(mask)
        score = sample_score(masks, pipeline.plan.vocabulary)
    return [result.ids for result in results], score or 0.0, seconds


def main() -> None:
    """Print a row for each recipe, format and way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--images", type=int, default=24)
    given = parser.parse_args()
    images = sample_images()[: given.images]
    print("| recipe | way | labels as in fp32 | mIoU | seconds |\n|---|---|---|---|---|")
    for name in given.recipes:
        single = ovsskit.load(name, device="cpu")
        expected, score, seconds = label(single, images)
        print(f"| {name} | fp32 | | {100 * score:.2f} | {seconds:.1f} |", flush=True)
        for precision, dtype in FORMATS.items():
            ways = {
                f"{precision}, cast": (cast(single, precision), None),
                f"{precision}, autocast": (single, dtype),
            }
            for way, (pipeline, autocast) in ways.items():
                found, score, seconds = label(pipeline, images, autocast)
                pairs = zip(found, expected, strict=True)
                same = torch.cat([(one == other).flatten() for one, other in pairs])
                share = f"{100 * same.float().mean():.2f} %"
                row = f"| {name} | {way} | {share} | {100 * score:.2f} | {seconds:.1f} |"
                print(row, flush=True)


if __name__ == "__main__":
    main()
