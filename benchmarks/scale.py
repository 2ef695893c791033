"""Measure what the bookkeeping of a run costs for each image, in runs of many images.

    python benchmarks/scale.py --images 20000 100000 200000

No network runs and no mask is drawn: a small file stands for all that is written of an image. The
images are entered, done one after the other, the gallery and the records are written, and the run
is taken up again when all is done. Seconds are of the processor; memory is the most that the
process holds, beyond what it held before, each number in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.output.folder import OutputFolder
from ovsskit.run.output.gallery import write_gallery
from ovsskit.run.output.record import Costs

IDENTITY = {"classes": {"names": ["dog"]}}
WORDS = make_vocabulary(["dog", "cat", "grass"])
FOLDER = 1000
"""How many images lie in one folder."""


def measure(count: int) -> dict[str, float]:
    """Run so many images; return microseconds for each image by step, and bytes for each."""
    with tempfile.TemporaryDirectory() as home:
        root, out = Path(home, "photos"), Path(home, "out")
        paths = []
        for number in range(count):
            path = root / f"{number // FOLDER:04d}" / f"image_{number:07d}.jpg"
            if number % FOLDER == 0:
                path.parent.mkdir(parents=True)
            path.touch()
            paths.append(path)
        held = peak()
        steps: dict[str, float] = {}
        start = time.process_time()

        def step(name: str) -> None:
            nonlocal start
            now = time.process_time()
            steps[name] = (now - start) / count * 1e6
            start = now

        folder = OutputFolder(out, IDENTITY)
        todo = folder.add(paths, frozenset(), [], roots=[root])
        folder.save(Costs())
        step("enter")
        for record in todo:
            name = f"masks/{record.name}.png"
            files = {name: folder.write_text(name, "mask")}
            areas = ((0, 0.5), (1 + len(record.name) % 3, 0.5))
            folder.finish(replace(record, state="done", size=(640, 480), areas=areas, files=files))
        step("do")
        pages = write_gallery(folder, "run", [], folder.records, WORDS)
        step("gallery")
        folder.save(Costs(), pages)
        folder.close()
        step("records")
        again = OutputFolder(out, IDENTITY)
        assert not again.add(paths, frozenset(), [], roots=[root])
        again.close()
        step("take up again")
        return {**steps, "bytes": (peak() - held) / count, "megabytes": (peak() - held) / 1e6}


def peak() -> int:
    """Return the most bytes of memory that this process has held (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Print a row for each number of images."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[20_000, 100_000, 200_000])
    table, named = Table("images"), False
    for count in parser.parse_args().images:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found = pool.apply(measure, (count,))
        if not named:
            for name in found:
                table.add_column(name, justify="right")
            named = True
        table.add_row(f"{count:,}", *(f"{value:.0f}" for value in found.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
