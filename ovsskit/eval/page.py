"""Write `index.html`: the result of an evaluation, to look at from disk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ovsskit.eval.counts import ImageCounts
from ovsskit.eval.pictures import place
from ovsskit.eval.totals import Totals
from ovsskit.files.own.own_folder import OwnFolder
from ovsskit.files.own.written import Written
from ovsskit.run.output.page import render_page

PAGE = "index.html"


def write_page(
    folder: OwnFolder,
    record: dict[str, Any],
    totals: Totals,
    pictures: Iterable[tuple[ImageCounts, float]],
) -> Written:
    """Write the page of a result; `pictures` are the images that are drawn, with their mean IoU.

    Raises:
        CannotWrite: the disk is full, or the folder cannot be written any more.
    """
    facts, names = totals.counting.facts, totals.counting.counted
    colours = dict(zip(facts.classes, facts.palette, strict=True))
    shown = {key: record[key] for key in ("name", "metrics", "interval", "images", "left_out")}
    data = {
        **shown,
        "facts": _facts(record),
        "classes": [
            {**one, "colour": "#{:02x}{:02x}{:02x}".format(*colours.get(one["name"], (0, 0, 0)))}
            for one in record["classes"]
        ],
        "matrix": totals.scored.tolist(),
        "pictures": [
            {"name": counts.name, "file": place(counts.index), "miou": score}
            | {"classes": sorted({names[true] for true, _, _ in counts.pairs})}
            for counts, score in pictures
        ],
    }
    return folder.write_text(PAGE, render_page("ovsskit.eval", "evaluation.html", data=data))


def _facts(record: dict[str, Any]) -> list[str]:
    """Return what stands under the title: data set, protocol, images, time."""
    data, images = record["dataset"], record["images"]
    where = ", ".join(part for part in (data["title"], data["split"]) if part)
    facts = [
        f"{where} ({data['layout']})",
        f"counted as {record['protocol']['name']}",
        f"{images['counted']} of {data['published_images']:,} images",
        f"{record['costs']['seconds']:.1f} s",
    ]
    return facts + [f"{images['left_out']} left out"] * bool(images["left_out"])
