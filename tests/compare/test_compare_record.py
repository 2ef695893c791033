from __future__ import annotations

from pathlib import Path

import pytest
from finished_runs import block_mask, finish_run

import ovsskit
from ovsskit.errors import OvsskitError

SAME, HALF = block_mask([1, 2]), block_mask([1, 1])


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    first = finish_run(tmp_path / "first", {"a": SAME, "b": SAME})
    images = [tmp_path / "photos" / f"{name}.png" for name in "ab"]
    return first, finish_run(tmp_path / "second", {"a": SAME, "b": HALF}, images=images)


def test_the_record_holds_what_differs(runs: tuple[Path, Path], tmp_path: Path) -> None:
    found = ovsskit.run_compare(*runs)
    assert found["agreement"] == 0.75
    assert [one["disagreement"] for one in found["images"]] == [0.5, 0.0]
    assert found["images"][0]["source"] == str(tmp_path / "photos/b.png")
    dog, cat = found["classes"]
    assert (dog["name"], dog["share"], dog["swapped"]) == ("dog", [0.5, 0.75], "cat")
    assert cat["iou"] == 0.5
    assert (found["compared"], found["changed"], found["miou"]) == (2, 0, None)
    assert not list(tmp_path.glob("*.html"))


def test_a_page_is_written_where_it_is_asked_for(runs: tuple[Path, Path], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    ovsskit.run_compare(*runs, out=page)
    assert page.read_text().startswith("<!")
    with pytest.raises(OvsskitError, match="already exists"):
        ovsskit.run_compare(*runs, out=page)
    ovsskit.run_compare(*runs, out=page, force=True)
