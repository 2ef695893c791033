"""One `ovsskit compare`: count what differs between two finished runs, and draw the page of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovsskit.compare.both_runs import BothRuns, Compared
from ovsskit.compare.comparison_page import render_comparison
from ovsskit.compare.pixel_counts import class_differences, disagreement
from ovsskit.engine.images import allow_pixels
from ovsskit.errors import first_of
from ovsskit.files.decoding import adopt_warnings
from ovsskit.files.inputs import MAX_PIXELS
from ovsskit.files.writing import see_free, write_text
from ovsskit.run.finished import FinishedRun


@dataclass(frozen=True)
class CompareOptions:
    """Hold what a person asked of `ovsskit compare`; without `out`, no page is drawn."""

    first: Path
    second: Path
    out: Path | None = None
    most: int = 60
    max_pixels: int = MAX_PIXELS
    force: bool = False


class CompareCallbacks:
    """Hear how a comparison goes; nothing happens unless a method is overridden."""

    def begin(self, total: int) -> None:
        """Hear how many steps there are: an image to count, or one to draw."""

    def tell(self) -> None:
        """Hear that a step is done."""


def compare_runs(options: CompareOptions, callbacks: CompareCallbacks) -> dict[str, Any]:
    """Compare two finished runs of the same images; return what differs as plain JSON values.

    Raises:
        BadFile: a folder holds no run, or a mask is missing or not the one that its run wrote.
        BadImage: an image of the page cannot be read any more.
        BadValue: the runs share no image that is still as both saw it.
        BadOutput: a file is where the page shall be.
    """
    adopt_warnings()
    allow_pixels(options.max_pixels)
    if options.out is not None:
        see_free(options.out, force=options.force)
    both = BothRuns(FinishedRun(options.first), FinishedRun(options.second))
    drawn = 0 if options.out is None else min(options.most, len(both.pairs))
    callbacks.begin(len(both.pairs) + drawn)
    compared = both.count(callbacks.tell)
    record = _describe(both, compared)
    if options.out is not None:
        facts, tell = facts_of(record), callbacks.tell
        page = render_comparison(both, compared, facts, options.most, options.max_pixels, tell)
        write_text(options.out, page)
    return record


def _describe(both: BothRuns, compared: Compared) -> dict[str, Any]:
    names = both.classes.names
    return {
        "runs": [
            {"title": title, "folder": str(run.folder), "only_images": only, "only_classes": words}
            for title, run, only, words in zip(
                both.titles, both.runs, both.only, map(list, both.classes.only), strict=True
            )
        ],
        "compared": len(compared.images),
        "changed": both.changed,
        "agreement": 1 - disagreement(compared.counts),
        "miou": compared.miou,
        "classes": [
            {
                "name": names[one.place],
                "share": [one.first, one.second],
                "iou": one.iou,
                "differing": one.differing,
                "swapped": None if one.swapped is None else names[one.swapped],
            }
            for one in class_differences(compared.counts)
        ],
        "images": [
            {
                "name": one.first.name,
                "source": one.first.source,
                "disagreement": one.disagreement,
                "miou": one.miou,
            }
            for one in compared.images
        ],
    }


def facts_of(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what there is to say of a comparison as a whole, by what it is about."""
    sides = dict(zip("AB", record["runs"], strict=True))
    images = [f"{record['compared']} compared"]
    for side, run in sides.items():
        if run["only_images"]:
            images.append(f"{run['only_images']} only in {side}")
    if record["changed"]:
        images.append(f"{record['changed']} changed or gone since the runs")
    facts = {
        "images": ", ".join(images),
        "agreement": f"{100 * record['agreement']:.2f} % of the pixels",
    }
    if record["miou"] is not None:
        first, second, count = record["miou"]
        facts["mean of the images' mIoU"] = (
            f"{100 * first:.2f} (A) and {100 * second:.2f} (B), of {count} with true masks"
        )
    for side, run in sides.items():
        if run["only_classes"]:
            facts[f"classes only in {side}"] = first_of(run["only_classes"])
    return facts
