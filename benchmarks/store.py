"""Measure what keys and stores cost, and what they save.

Run `python benchmarks/store.py`, or with `--full-size` on a BLIP-large at 336.
The quickstart runs on the packaged sample scenes without a store, with an empty one (in memory; and
in a folder as well), then again with what the store holds, and with two rounds of Salience DropOut
more. Keys and stores are timed inside the run.
All seconds are those of the processor, which other programs hardly disturb.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import ovsskit
from full_size import NAMES, make_weights, random_images
from ovsskit.embedded import NOUNS, sample_scenes
from ovsskit.engine.digests import Digests
from ovsskit.engine.driver import Driver
from ovsskit.engine.images import read_image
from ovsskit.engine.store import Store
from ovsskit.engine.values import Image
from ovsskit.recipe.vocabulary import make_vocabulary

TIMED = ((Driver, "_key"), (Digests, "mark"), (Store, "find"), (Store, "keep"), (Store, "note"))
spent = 0.0


def timed(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that adds its time to what is spent on keys and stores."""

    def call(*arguments: Any, **keywords: Any) -> Any:
        global spent
        start = time.process_time()
        try:
            return method(*arguments, **keywords)
        finally:
            spent += time.process_time() - start

    return call


def measure(
    recipe: str,
    overrides: Sequence[str],
    store: Store | None,
    images: Sequence[Image],
    names: Sequence[str],
) -> list[str]:
    """Run a recipe; return seconds per image, the share of keys and stores, and network calls."""
    global spent
    pipeline = ovsskit.load(recipe, *overrides, store=store, batch=4)
    for model in pipeline.models.values():
        model.prepare()
        assert store is None or model.describe_content()
    before = (store.calls, store.hits) if store else (0, 0)
    start, spent = time.process_time(), 0.0
    for first in range(0, len(images), pipeline.batch):
        pipeline.run_many(images[first : first + pipeline.batch], make_vocabulary(names))
    seconds = time.process_time() - start
    counts = [store.calls - before[0], store.hits - before[1]] if store else ["", ""]
    cost = (
        [f"{1000 * spent / len(images):.2f}", f"{100 * spent / seconds:.2f}"] if store else ["", ""]
    )
    return [f"{seconds / len(images):.3f}", *cost, *map(str, counts)]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full-size", action="store_true")
    parser.add_argument("--images", type=int, default=4, help="how many, with --full-size")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for owner, name in TIMED:
        setattr(owner, name, timed(getattr(owner, name)))
    with tempfile.TemporaryDirectory() as temporary:
        images: Sequence[Image] = [read_image(scene.image) for scene in sample_scenes()]
        names, recipe, overrides = NOUNS, "quickstart", []
        if arguments.full_size:
            make_weights(Path(temporary) / "weights", "large")
            images, names, recipe = random_images(arguments.images), NAMES, "pnp_blip"
            overrides = [f"backbone.weights={temporary}/weights"]
        memory, disk = Store(), Store(Path(temporary) / "store")
        more = "salience_dropout.rounds=6"
        title = f"{recipe}, {len(images)} images"
        table = Table(
            "run",
            "s per image",
            "keys and store, ms",
            "per cent",
            "network calls",
            "saved",
            title=title,
        )
        for what, changes, store in (
            ("without a store", [], None),
            ("empty store in memory", [], memory),
            ("again", [], memory),
            ("again, two rounds more", [more], memory),
            ("empty store on disk", [], disk),
            ("again, from disk", [], Store(Path(temporary) / "store")),
        ):
            table.add_row(what, *measure(recipe, [*overrides, *changes], store, images, names))
        Console(width=110).print(table)


if __name__ == "__main__":
    main()
