"""`ovsskit compare` in the terminal: what it says, writes, and refuses to replace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from finished_runs import block_mask, finish_run
from run_records import change_images
from typer.testing import CliRunner

from ovsskit.cli.app import app
from ovsskit.errors import BadOutput

FIRST = {"a": block_mask([1, 2, 0, 0]), "b": block_mask([1, 1, 1, 0]), "c": block_mask([3, 3])}
SECOND = {"a": block_mask([1, 1, 0, 0]), "b": block_mask([1, 1, 1, 0])}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    finish_run(tmp_path / "first", FIRST)
    photos = [tmp_path / "photos" / f"{name}.png" for name in SECOND]
    finish_run(tmp_path / "second", SECOND, ["dog", "tree"], images=photos)
    return tmp_path


def compare(*more: str) -> Any:
    return CliRunner().invoke(app, ["compare", "first", "second", *more])


def lines(done: Any) -> list[str]:
    assert done.exit_code == 0, done.output
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


def test_the_terminal_says_what_differs(folder: Path) -> None:
    assert lines(compare()) == [
        "A first",
        "B second",
        "images 2 compared, 1 only in A",
        "agreement 87.50 % of the pixels",
        "classes only in A cat, grass",
        "classes only in B tree",
        "page compare.html",
        "class share in A share in B IoU of A and B",
        "dog 50.00 % 62.50 % 80.00 %",
        "cat 12.50 % 0.00 % 0.00 %",
        "background 37.50 % 37.50 % 100.00 %",
    ]


def test_json_holds_the_numbers_of_every_class_and_image(folder: Path) -> None:
    found = json.loads(compare("--json").stdout)
    assert found["agreement"] == 0.875
    assert [one["name"] for one in found["classes"]] == ["dog", "cat", "background"]
    assert len(found["images"]) == 2
    assert found["page"] == "compare.html"
    assert Path("compare.html").is_file()


def test_the_images_miou_stands_there_where_both_runs_know_it(folder: Path) -> None:
    for run, scores in (("first", [0.5, 0.25, None]), ("second", [1.0, None])):
        known = list(scores)
        change_images(
            folder / run,
            lambda images, known=known: [
                image.update(miou=score) for image, score in zip(images, known, strict=True)
            ],
        )
    told = "mean of the images' mIoU 50.00 (A) and 100.00 (B), of 1 with true masks"
    assert told in lines(compare())


def test_a_page_is_replaced_only_where_that_is_asked(folder: Path) -> None:
    page = folder / "compare.html"
    page.write_text("mine")
    assert isinstance(compare().exception, BadOutput)
    assert page.read_text() == "mine"
    assert lines(compare("--force", "--quiet")) == []
    assert page.read_text().startswith("<!doctype html>")


def test_the_page_holds_as_many_images_as_are_asked_for(folder: Path) -> None:
    for most, left in (("0", 2), ("1", 1), ("2", 0)):
        compare("--most", most, "--out", f"{most}.html")
        text = Path(f"{most}.html").read_text()
        assert text.count("data:image/jpeg;base64,") == int(most)
        assert (f"{left} more images disagree less" in text) == bool(left)
