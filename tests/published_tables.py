"""Write the tables of published numbers that pages show, from the rows of the shipped recipes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from unittest.mock import patch

from ovsskit.files.shipped import recipe_folder
from ovsskit.recipe.build import Recipe, load_recipe
from ovsskit.recipe.extends import base_of
from ovsskit.recipe.published import PublishedNumber
from ovsskit.reproduce import variants

MARK = re.compile(r"(<!-- published([^>]*)-->\n)(.*?)(<!-- end of published -->)", re.DOTALL)
COLUMNS = {
    "voc21": "VOC21",
    "voc20": "VOC20",
    "context60": "Context60",
    "context59": "Context59",
    "coco_object": "COCO-Object",
    "coco_stuff171": "COCO-Stuff",
    "coco_stuff27": "COCO-Stuff 27",
    "coco_stuff10k": "COCO-Stuff 10k",
    "ade20k": "ADE20K",
    "cityscapes": "Cityscapes",
}
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Line(NamedTuple):
    """Name a line of a table: a recipe with its variants, and where its numbers come from.

    What a recipe is about says whether it is supervised.
    """

    recipe: str
    source: str
    who: str
    is_supervised: bool


@cache
def numbers() -> dict[Line, dict[str, PublishedNumber]]:
    """Return every published number by its line and data set, recipes in their order."""
    recipes = [load_recipe(path) for path in sorted(recipe_folder().glob("*.toml"))]
    # each recipe is asked for by every other
    with patch.multiple(variants, base_of=cache(base_of), load_recipe=cache(load_recipe)):
        families = {one.path.stem: [one, *variants.variants_of(one)] for one in recipes}
    bases = {one.path.stem: base for base, ones in families.items() for one in ones[1:]}
    found: dict[Line, dict[str, PublishedNumber]] = {}
    for name, ones in families.items():
        for row in _rows(ones) if name not in bases else ():
            who = "its authors" if row.by == "authors" else "others"
            who += "" if row.certainty == "sure" else f", {row.certainty}"
            line = Line(name, row.source, who, "supervised" in ones[0].header.about)
            columns = found.setdefault(line, {})
            assert row.dataset not in columns, f"{name} has two {row.dataset} of one source"
            columns[row.dataset] = row
    return found


def _rows(recipes: list[Recipe]) -> Iterator[PublishedNumber]:
    for recipe in recipes:
        yield from recipe.published


def fill(text: str, page: PurePosixPath) -> str:
    """Return a page's text with its tables written anew; `page` is its path in the repository."""
    return MARK.sub(lambda found: f"{found[1]}{table(found[2].split(), page)}{found[4]}", text)


def table(recipes: list[str], page: PurePosixPath) -> str:
    """Return the table of some recipes, or of all: a line for each source, and notes below.

    Those that are supervised come last, and are marked.
    """
    lines = {line: row for line, row in numbers().items() if line.recipe in recipes or not recipes}
    lines = dict(sorted(lines.items(), key=lambda item: item[0].is_supervised))
    used = {dataset for row in lines.values() for dataset in row}
    columns = [dataset for dataset in COLUMNS if dataset in used]
    head = ["recipe", "numbers from", "measured by", *(COLUMNS[one] for one in columns)]
    written = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    notes: list[str] = []
    for line, row in lines.items():
        cells = [_cell(row[one], notes) if one in row else "" for one in columns]
        mark = ", **supervised**" if line.is_supervised else ""
        first = f"[`{line.recipe}`]({_link(line.recipe, page)}){mark}"
        written.append(
            f"| {' | '.join([first, line.source, line.who, *cells])} |".replace("  ", " ")
        )
    if notes:
        marked = (f"{_raised(number)} {note}" for number, note in enumerate(notes, 1))
        written += ["", f"Not comparable with the recipe's own: {'; '.join(marked)}."]
    return "\n".join(["", *written, "", ""])


def _cell(row: PublishedNumber, notes: list[str]) -> str:
    notes += [one for one in row.differs if one not in notes]
    return " ".join([f"{row.value}", *(_raised(notes.index(one) + 1) for one in row.differs)])


def _raised(number: int) -> str:
    return str(number).translate(RAISED)


def _link(recipe: str, page: PurePosixPath) -> str:
    """Return the path of a recipe's text, relative to a page."""
    if page.parent == PurePosixPath():
        return f"recipes/{recipe}.toml"
    up = "../" * (len(page.parts) - 2)
    return f"{up}reference/recipes.md#{recipe}"


def pages(root: Path) -> list[Path]:
    """Return the pages that show such tables."""
    texts = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    return [path for path in texts if MARK.search(path.read_text(encoding="utf-8"))]
