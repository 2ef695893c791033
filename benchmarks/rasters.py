"""Measure memory and speed of runs on rasters, which must need the same memory whatever their size.

    python benchmarks/rasters.py
    python benchmarks/rasters.py clip_baseline_tiny --sides 4000 12000 30000

Each raster shows the packaged sample scenes side by side, in places that change from row to row. It
runs in a process of its own. Printed are the most memory that the process held, and the pixels that
were done in a second, with all that a run writes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import PIL.Image
import rasterio
from rich.console import Console
from rich.table import Table

from ovsskit.run.rasters.grid import USUAL, WindowSize
from ovsskit.run.samples import sample_images

SCENE = 512
"""Side of a scene in the raster, in pixels."""
PLACE = rasterio.Affine(0.5, 0.0, 500000.0, 0.0, -0.5, 5300000.0)


def main() -> None:
    """Run a recipe on rasters of several sizes, and print what that took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", nargs="?", default="clip_baseline_tiny")
    parser.add_argument("--sides", type=int, nargs="+", default=[4000, 12000])
    parser.add_argument("--window", type=int, default=USUAL.side)
    parser.add_argument("--overlap", type=int, default=USUAL.overlap)
    chosen = parser.parse_args()
    table = Table("side", "windows", "seconds", "pixels a second", "peak memory", "raster", "mask")
    for side in chosen.sides:
        with tempfile.TemporaryDirectory() as folder:
            windows = WindowSize(chosen.window, chosen.overlap)
            table.add_row(f"{side:,}", *measure(Path(folder), chosen.recipe, side, windows))
    Console().print(table)


def measure(folder: Path, recipe: str, side: int, windows: WindowSize) -> list[str]:
    """Return windows, seconds, pixels a second, peak memory, and sizes of raster and mask."""
    path, out = folder / "raster.tif", folder / "out"
    paint(path, side)
    command = [sys.executable, "-m", "ovsskit", "run", recipe, str(path), "--out", str(out)]
    command += ["--window", str(windows.side), "--overlap", str(windows.overlap), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    *records, last = map(json.loads, done.stdout.splitlines())
    costs = last["summary"]["costs"]
    count = records[0]["notes"][0].split()[2]
    sizes = [path.stat().st_size, (out / "masks/raster.tif").stat().st_size]
    return [
        count,
        f"{costs['seconds']:,.0f}",
        f"{side * side / costs['seconds']:,.0f}",
        f"{costs['peak_memory'] / 1e9:.2f} GB",
        *(f"{size / 1e6:,.1f} MB" for size in sizes),
    ]


def paint(path: Path, side: int) -> None:
    """Write a raster of scenes, some rows at a time."""
    scenes = []
    for one in sample_images():
        with PIL.Image.open(one) as image:
            pixels = numpy.asarray(image.convert("RGB").resize((SCENE, SCENE)))
        scenes.append(numpy.moveaxis(pixels, -1, 0))
    profile = {"count": 3, "dtype": "uint8", "photometric": "rgb", "bigtiff": "if_safer"}
    profile |= {"tiled": True, "blockxsize": SCENE, "blockysize": SCENE, "compress": "lzw"}
    with rasterio.open(
        path, "w", height=side, width=side, crs="EPSG:32632", transform=PLACE, **profile
    ) as raster:
        for number, top in enumerate(range(0, side, SCENE)):
            count = -(-side // SCENE)
            row = [scenes[(3 * number + place) % len(scenes)] for place in range(count)]
            rows = numpy.concatenate(row, 2)[:, : side - top, :side]
            raster.write(rows, window=((top, top + rows.shape[1]), (0, side)))


if __name__ == "__main__":
    main()
