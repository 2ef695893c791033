"""`ovsskit compare`: show what differs between two finished runs of the same images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ovsskit.cli.options import Force, MaxPixels, Quiet
from ovsskit.files.inputs import MAX_PIXELS


def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN_A", help="Folder of a finished run.")],
    second: Annotated[Path, typer.Argument(metavar="RUN_B", help="Folder of another.")],
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("compare.html"),
    most: Annotated[
        int,
        typer.Option(
            "--most", min=0, help="Show this many images, those with the largest differences."
        ),
    ] = 60,
    max_pixels: MaxPixels = MAX_PIXELS,
    force: Force = False,
    json: Annotated[bool, typer.Option("--json", help="Print what differs as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Compare two finished runs of the same images, class by class, and on a page with a swipe.

    Classes are matched by name, images by path. The page is one file that holds its images.
    """
    from ovsskit.cli.compare_report import CompareReport
    from ovsskit.compare.compare import CompareOptions, compare_runs
    from ovsskit.engine.notices import hearing

    options = CompareOptions(first, second, out, most, max_pixels, force)
    with CompareReport(quiet=quiet, as_json=json) as report, hearing(report):
        record = compare_runs(options, report)
        report.end(record, out)
