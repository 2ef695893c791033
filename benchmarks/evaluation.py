"""Prove that evaluations agree across layouts of data sets, and that their memory is bounded.

    python benchmarks/evaluation.py layouts --scenes 200
    python benchmarks/evaluation.py items --count 100000

`layouts` stores newly painted scenes in the files of VOC, COCO and ADE20K, measures three embedded
recipes on each, and counts the found masks once more with numpy alone. `items` measures a recipe
without a network on tiny images in a parquet file, and prints memory and speed as it goes on.
"""

from __future__ import annotations

import argparse
import io
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
from rich.console import Console
from rich.table import Table

from miniatures import Scene, write_ade, write_coco, write_voc
from ovsskit.datasets.dataset import VOID
from ovsskit.datasets.facts import facts_of
from ovsskit.embedded import NOUNS
from ovsskit.engine.notices import Silent
from ovsskit.eval.counts import ImageCounts
from ovsskit.eval.eval import evaluate
from ovsskit.eval.options import EvalOptions, TruthOptions
from ovsskit.recipe.registry import load_plugin
from tiny_models.evaluate import evaluation_scenes
from tiny_models.scenes import Scene as PaintedScene

RECIPES = ("quickstart", "itaclip_tiny", "naclip_tiny")
SHARED = ("car", "bus", "boat", "bicycle", "airplane")
"""The nouns of the tiny models that all three data sets have as classes."""
SPELT = {("voc21", "airplane"): "aeroplane"}
FIRST_SEED = 310_000_000
"""The seed of the first scene: far from those of training and of other benchmarks."""
LAYOUTS: dict[str, tuple[str, Callable[..., Path]]] = {
    "voc21": ("voc21", write_voc),
    "coco_object": ("coco_stuff171", write_coco),
    "ade20k": ("ade20k", write_ade),
}
"""A writer for each data set, and the data set whose numbers it takes."""

PLUGIN = '''
from ovsskit import Image, Labels, Stage, Vocabulary


class Brightness(Stage, writes="labels"):
    """Take the first class where it is dark, and the second where it is bright."""

    def run(self, image: Image, vocabulary: Vocabulary) -> Labels:
        return Labels((image.data.mean(0) > 0.5).long() + 1)
'''
SIDE = 8


def store(scenes: Sequence[PaintedScene], root: Path) -> None:
    """Write scenes in every layout; what is no shared noun is background, or void in ADE20K."""
    images = [numpy.asarray(scene.image.convert("RGB")) for scene in scenes]
    for name, (numbers, write) in LAYOUTS.items():
        facts = facts_of(numbers)
        table = numpy.full(len(NOUNS) + 1, VOID if facts.background is None else facts.background)
        for place, noun in enumerate(NOUNS, 1):
            if noun in SHARED:
                table[place] = facts.classes.index(SPELT.get((name, noun), noun))
        stored: list[Scene] = [
            (image, table[scene.things]) for image, scene in zip(images, scenes, strict=True)
        ]
        write(root / name, stored)


def count_again(scenes: Sequence[PaintedScene], masks: Path) -> dict[str, float]:
    """Return the IoU of the true classes; masks hold 1 and up in the order of the shared nouns."""
    table = numpy.array([0, *(SHARED.index(one) + 1 if one in SHARED else 0 for one in NOUNS)])
    both, either = numpy.zeros(len(SHARED) + 1), numpy.zeros(len(SHARED) + 1)
    seen = set[int]()
    for index, scene in enumerate(scenes):
        true = table[scene.things]
        with PIL.Image.open(masks / f"{index:06d}.png") as mask:
            found = numpy.asarray(mask)
        for number in range(len(SHARED) + 1):
            both[number] += ((true == number) & (found == number)).sum()
            either[number] += ((true == number) | (found == number)).sum()
        seen |= {*numpy.unique(true).tolist()}
    names = ("background", *SHARED)
    return {names[number]: float(both[number] / either[number]) for number in sorted(seen)}


def measure(recipe: str, name: str, root: Path, out: Path) -> dict[str, Any]:
    """Measure a recipe on one layout, counted as PnP-OVSS does: void is background."""
    options = EvalOptions(
        recipe,
        classes=", ".join(SHARED),
        out=out,
        truth=TruthOptions(name, root),
        protocol="pnp_ovss",
        save_masks=True,
    )
    return evaluate(options, Silent())


def compare_layouts(count: int) -> None:
    """Print the mean IoU of every recipe from every layout, and of the count with numpy."""
    scenes = evaluation_scenes(count, first_seed=FIRST_SEED)
    table = Table("recipe", *LAYOUTS, "counted again", title=f"{len(scenes)} scenes, mIoU in %")
    with tempfile.TemporaryDirectory() as folder:
        store(scenes, Path(folder))
        for recipe in RECIPES:
            mious = []
            for name in LAYOUTS:
                out = Path(folder) / "out" / recipe / name
                record = measure(recipe, name, Path(folder) / name, out)
                mious.append(record["metrics"]["miou"])
            again = count_again(scenes, Path(folder) / "out" / recipe / "voc21" / "masks")
            mean = sum(again.values()) / len(again)
            table.add_row(recipe, *(f"{100 * one:.6f}" for one in (*mious, mean)))
            if any(abs(one - mean) > 1e-9 for one in mious):
                sys.exit(f"{recipe}: the layouts or the counts disagree: {mious}, {mean}")
    Console().print(table)


class Watch(Silent):
    """Print memory and speed while items go by."""

    def __init__(self, every: int) -> None:
        self.every, self.done, self.start = every, 0, time.perf_counter()

    def tell(self, *what: ImageCounts | float) -> None:
        """Take note of an item."""
        self.done += 1
        if self.done % self.every == 0:
            speed = self.done / (time.perf_counter() - self.start)
            print(f"{self.done:>8,} items  {resident():7.1f} MB  {speed:7.1f} a second", flush=True)


def resident() -> float:
    """Return how many megabytes of memory this process holds now, or held at most."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="utf-8").splitlines()
        line = next(one for one in lines if one.startswith("VmRSS"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def count_items(count: int) -> None:
    """Measure many tiny images, and print how memory and speed develop."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_items(root / "items.parquet", count)
        (root / "brightness.py").write_text(PLUGIN, encoding="utf-8")
        (root / "recipe.toml").write_text('[[stage]]\nuse = "brightness"\n', encoding="utf-8")
        (root / "classes.txt").write_text("1 dark\n2 bright\n", encoding="utf-8")
        load_plugin(root / "brightness.py")
        options = EvalOptions(
            str(root / "recipe.toml"),
            out=root / "out",
            truth=TruthOptions("parquet", root, truth_classes=root / "classes.txt"),
            batch="32",
        )
        record = evaluate(options, Watch(max(1, count // 10)))
        size = (root / "out" / "images.jsonl").stat().st_size
        print(f"mIoU {100 * record['metrics']['miou']:.2f}, {size / count:.0f} bytes an item kept")


def write_items(path: Path, count: int) -> None:
    """Write images of one brightness, of which a few have the wrong true class, as parquet."""
    import pyarrow
    import pyarrow.parquet

    def encoded(value: int, size: int) -> bytes:
        file = io.BytesIO()
        PIL.Image.new("L", (size, size), value).save(file, "PNG")
        return file.getvalue()

    images = [encoded(shade, SIDE) for shade in (30, 220)]
    masks = [encoded(label, SIDE) for label in (1, 2)]
    schema = pyarrow.schema(
        [(name, pyarrow.struct([("bytes", pyarrow.binary())])) for name in ("image", "mask")]
    )
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for first in range(0, count, 1000):
            rows = [
                {
                    "image": {"bytes": images[number % 2]},
                    "mask": {"bytes": masks[(number + (number % 10 == 0)) % 2]},
                }
                for number in range(first, min(first + 1000, count))
            ]
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))


def main() -> None:
    """Do what is asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    layouts = commands.add_parser("layouts")
    layouts.add_argument("--scenes", type=int, default=200)
    items = commands.add_parser("items")
    items.add_argument("--count", type=int, default=100_000)
    chosen = parser.parse_args()
    if chosen.command == "layouts":
        compare_layouts(chosen.scenes)
    else:
        count_items(chosen.count)


if __name__ == "__main__":
    main()
