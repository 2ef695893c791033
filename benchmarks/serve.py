"""Measure how soon the page answers after a slider moves.

    python benchmarks/serve.py
    python benchmarks/serve.py naclip_tiny --moves 20

Every numeric parameter is moved by itself, back and forth between two values of its range, on one
sample scene that the page shows already. Printed is the median of the seconds until the answer.
"""

from __future__ import annotations

import argparse
from statistics import median

from rich.console import Console
from rich.table import Table

from ovsskit.embedded import NOUNS
from ovsskit.engine.devices import choose_batch
from ovsskit.engine.rendering import AS_USUAL
from ovsskit.run.samples import sample_images
from ovsskit.serve.pictures import Pictures
from ovsskit.serve.workbench import Workbench


def main() -> None:
    """Move every parameter, and print how long answers took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", nargs="?", default="quickstart")
    parser.add_argument("--moves", type=int, default=12)
    chosen = parser.parse_args()
    bench = Workbench(chosen.recipe, (), "cpu", choose_batch("auto", "cpu"))
    image = Pictures(sample_images(), 1024, AS_USUAL).read("4")
    classes = ", ".join(bench.own.names or NOUNS)
    first = bench.segment(image, classes, {}).seconds
    table = Table("parameter", "seconds until the answer", title=f"first answer {first:.2f} s")
    for one in bench.space:
        if one.choices:
            continue
        spread = one.high - one.low
        seconds = []
        for move in range(chosen.moves):
            value = one.low + spread * (move + 1) / (chosen.moves + 1)
            value = round(value) if one.kind == "int" else value
            if one.step:
                value = one.low + one.step * round((value - one.low) / one.step)
            seconds.append(bench.segment(image, classes, {one.address: value}).seconds)
        table.add_row(one.address, f"{median(seconds):.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
