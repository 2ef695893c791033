"""Measure seconds and peak memory of every stage.

Run `python benchmarks/stages.py`, or with `--full-size` on a BLIP-large at 336.
The quickstart runs on the packaged sample scenes. With `--full-size`, `pnp_blip` runs with random
weights of the published size on random images of 375 x 500 pixels, four classes each. Peaks are
those of the process (Linux) while a stage runs.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

import ovsskit
from full_size import NAMES, make_weights, random_images
from ovsskit.embedded import NOUNS, sample_scenes
from ovsskit.engine.driver import State
from ovsskit.engine.images import read_image
from ovsskit.engine.stage import Stage
from ovsskit.engine.values import Image
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.pipeline import Pipeline


def take_peak() -> float:
    """Return the most memory that the process held since the last call, in MB, and start anew."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    Path("/proc/self/clear_refs").write_text("5")
    return int(found[1]) / 1024 if found else 0.0


def measure(pipeline: Pipeline, images: Sequence[Image], names: Sequence[str]) -> Table:
    """Run a pipeline and return what each stage took, per image."""
    seconds: dict[str, float] = defaultdict(float)
    peaks: dict[str, float] = defaultdict(float)
    for model in pipeline.models.values():
        model.prepare()
    loaded = take_peak()

    def watch(stage: Stage, states: Sequence[State], spent: float) -> None:
        seconds[stage.address] += spent
        peaks[stage.address] = max(peaks[stage.address], take_peak())

    vocabulary = make_vocabulary(names)
    for start in range(0, len(images), pipeline.batch):
        pipeline.run_many(images[start : start + pipeline.batch], vocabulary, watch)
    table = Table(
        "stage", "s per image", "peak MB", title=f"{len(images)} images, batch {pipeline.batch}"
    )
    table.add_row("reading the weights", "", f"{loaded:.0f}")
    for address, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        table.add_row(address, f"{spent / len(images):.3f}", f"{peaks[address]:.0f}")
    return table


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full-size", action="store_true")
    parser.add_argument("--images", type=int, default=4, help="how many, with --full-size")
    parser.add_argument("--batch", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as temporary:
        if arguments.full_size:
            make_weights(Path(temporary), "large")
            pipeline = ovsskit.load(
                "pnp_blip", f"backbone.weights={temporary}", batch=arguments.batch
            )
            table = measure(pipeline, random_images(arguments.images), NAMES)
        else:
            images = [read_image(scene.image) for scene in sample_scenes()]
            table = measure(ovsskit.load("quickstart", batch=arguments.batch), images, NOUNS)
    Console(width=80).print(table)


if __name__ == "__main__":
    main()
