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
        typer.Option("--most", min=0, help="Show this many images, those that disagree most."),
    ] = 60,
    max_pixels: MaxPixels = MAX_PIXELS,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Compare two finished runs of the same images, class by class, and on a page with a swipe.

    Classes are matched by name, images by path. The page is one file that holds its images.
    """
    from ovsskit.cli.compare_report import CompareReport, facts_of
    from ovsskit.compare.both_runs import BothRuns
    from ovsskit.compare.comparison_page import render_comparison
    from ovsskit.engine.images import allow_pixels
    from ovsskit.engine.notices import hearing
    from ovsskit.files.decoding import adopt_warnings
    from ovsskit.files.writing import see_free, write_text
    from ovsskit.run.finished import FinishedRun

    see_free(out, force=force)
    adopt_warnings()
    allow_pixels(max_pixels)
    with CompareReport(quiet=quiet) as report, hearing(report):
        both = BothRuns(FinishedRun(first), FinishedRun(second))
        report.begin(len(both.pairs) + min(most, len(both.pairs)))
        compared = both.count(report.tell)
        facts = facts_of(both, compared)
        page = render_comparison(both, compared, facts, most, max_pixels, report.tell)
        write_text(out, page)
        report.end(both, compared, facts, out)
