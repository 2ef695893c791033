"""The tables of published numbers on the pages are those of the recipes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from published_tables import fill, numbers, pages, table

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("page", pages(ROOT), ids=lambda page: page.name)
def test_the_tables_are_up_to_date(page: Path, golden: Callable[[Path, str], str]) -> None:
    text = page.read_text(encoding="utf-8")
    found = fill(text, PurePosixPath(page.relative_to(ROOT).as_posix()))
    assert found == golden(page, found), "python -m ovsskit.testing.regenerate"


def test_every_number_stands_in_the_table_of_all() -> None:
    text = table([], PurePosixPath("README.md"))
    rows = [row for line in numbers().values() for row in line.values()]
    assert len(rows) > 50
    for line, row in numbers().items():
        named = (f"`{line.recipe}`", line.source, f"| {line.who} |")
        [shown] = [one for one in text.splitlines() if all(part in one for part in named)]
        for number in row.values():
            assert f"| {number.value}" in shown


def test_a_table_names_some_recipes_and_links_to_them() -> None:
    text = table(["gem"], PurePosixPath("docs/methods/clip_family.md"))
    assert "| [`gem`](../reference/recipes.md#gem) |" in text
    assert "sclip" not in text
    assert text.rstrip().splitlines()[-1].startswith("Not comparable with the recipe's own: ¹ ")


def test_supervised_recipes_come_last_and_are_marked() -> None:
    lines = [one for one in table([], PurePosixPath("README.md")).splitlines() if "[`" in one]
    marked = [", **supervised** |" in one for one in lines]
    assert marked == sorted(marked)
    named = {one.split("`")[1] for one, mark in zip(lines, marked, strict=True) if mark}
    assert {"sam3", "active_sam", "corrclip_eomt", "corrclip_mask2former"} <= named
    assert "corrclip" not in named
