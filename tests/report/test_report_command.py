"""Tables of results from their records, and comparisons that say how sure a difference is."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy
import pytest
from typer.testing import CliRunner, Result

from ovsskit.cli.app import app
from ovsskit.datasets.dataset import Dataset, Facts
from ovsskit.datasets.files import MaskFiles, MaskItem
from ovsskit.datasets.masks import read_mask
from ovsskit.datasets.matching import Matching
from ovsskit.datasets.protocol import PROTOCOLS, Counting
from ovsskit.errors import OvsskitError
from ovsskit.eval.counts import count_image
from ovsskit.eval.folder import EvalFolder
from ovsskit.eval.record import describe_dataset, describe_result
from ovsskit.eval.totals import Totals
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.output.record import Costs

NAMES = ("background", "cat & dog", "bird|fish")
FACTS = Facts("mine", "My set", NAMES, ((0, 0, 0), (1, 1, 1), (2, 2, 2)), background=0)
IMAGES = 40
FILES = MaskFiles("{id}.jpg", "{id}.png", read_mask)


def write_result(folder: Path, name: str, wrong: float, protocol: str = "mmsegmentation") -> Path:
    """Write the record of a result whose images are wrong at a share of the pixels of one class."""
    random = numpy.random.default_rng(7)
    totals = Totals(Counting(PROTOCOLS[protocol], FACTS))
    out = EvalFolder(folder, {"name": name, "protocol": protocol})
    try:
        out.start()
        for index in range(IMAGES):
            truth = random.integers(0, 3, (12, 12))
            lost = random.random((12, 12)) < wrong * random.random()
            found = numpy.where((truth == 1) & lost, 0, truth)
            counts = count_image(index, f"image{index}", truth, found, totals.counting)
            out.add(counts)
            totals.add(counts)
        words = make_vocabulary(["cat", "bird"])
        matching = Matching(words, {0: 0, 1: 1, 2: 2})
        dataset = Dataset(
            FACTS, "val", "folder", [MaskItem(FILES, f"image{index}") for index in range(IMAGES)]
        )
        result = describe_result(totals, matching)
        plain = {"name": name, "dataset": describe_dataset(dataset), **result}
        settings = {"resize": {"resize_image": {"short_side": 336, "longer_side": 0}}}
        out.save(Costs(seconds=4.0, peak_memory=2**30), {**plain, "settings": settings})
    finally:
        out.close()
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    good, bad = tmp_path / "good", tmp_path / "bad"
    return str(write_result(good, "good_one", 0.1)), str(write_result(bad, "bad", 0.9))


def report(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["report", *arguments])


def miou(folder: str) -> float:
    record: dict[str, Any] = json.loads((Path(folder) / "eval.json").read_text())
    return 100 * record["metrics"]["miou"]


def test_every_number_stands_beside_its_protocol(folders: tuple[str, str]) -> None:
    out = report(*folders, "--format", "markdown").stdout
    for folder, name in zip(folders, ("good_one", "bad"), strict=True):
        [row] = [line for line in out.splitlines() if line.startswith(f"| {name} |")]
        cells = [cell.strip() for cell in row.split("|")[1:-1]]
        assert cells[:4] == [name, "mine val folder", "40/40", "mmsegmentation"]
        assert cells[4] == f"{miou(folder):.2f}"
        low, high = map(float, re.findall(r"[\d.]+", cells[5]))
        assert low < miou(folder) < high
    assert "| resize | resize_image (short_side 336) | resize_image (short_side 336) |" in out
    assert "| seconds per image | 0.100 | 0.100 |" in out
    assert "| memory | 1024 MiB | 1024 MiB |" in out


def test_classes_stand_side_by_side(folders: tuple[str, str]) -> None:
    out = report(*folders, "--per-class", "--format", "markdown").stdout
    assert "| class | good_one | bad |" in out
    assert re.search(r"\| bird\\\|fish \| 100\.00 \| 100\.00 \|", out)
    assert f"| mean | {miou(folders[0]):.2f} | {miou(folders[1]):.2f} |" in out


def test_latex_is_obeyed_by_no_name(folders: tuple[str, str]) -> None:
    out = report(*folders, "--per-class", "--format", "latex").stdout
    assert r"good\_one & mine val folder" in out
    assert r"cat \& dog & " in out
    rows = [line for line in out.splitlines() if line.endswith(r"\\")]
    assert all(len(re.findall(r"(?<!\\)&", row)) in (2, 10) for row in rows)
    assert out.count(r"\begin{tabular}") == out.count(r"\end{tabular}") == 3


class Cells(HTMLParser):
    """Collect the text of a page's cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.inside, self.found = False, list[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.inside = tag == "td"
        self.found += [""] * self.inside

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.found[-1] += data


def test_html_is_written_whole_and_names_are_text(folders: tuple[str, str], tmp_path: Path) -> None:
    page = tmp_path / "table.html"
    arguments = (*folders, "--per-class", "--format", "html", "--out", str(page))
    assert report(*arguments).exit_code == 0
    cells = Cells(page.read_text()).found
    assert {"good_one", "cat & dog", "bird|fish", f"{miou(folders[0]):.2f}"} <= {*cells}
    again = report(*arguments)
    assert isinstance(again.exception, OvsskitError)
    assert "The file already exists." in str(again.exception)
    assert report(*arguments, "--force").exit_code == 0


def test_a_comparison_is_sure_of_what_differs_and_names_it(folders: tuple[str, str]) -> None:
    good, bad = folders
    out = report("--compare", good, bad, "--format", "markdown").stdout
    assert "### bad against good_one" in out
    difference = miou(bad) - miou(good)
    [mean] = [line for line in out.splitlines() if line.startswith("| mean |")]
    assert f"| {difference:+.2f} |" in mean
    assert mean.endswith("| yes |")
    low, high = map(float, re.findall(r"\[([+-][\d.]+),([+-][\d.]+)\]", mean)[0])
    assert low < difference < high < 0
    assert "bad is significantly worse than good_one on these images. Most changed: cat &" in out


def test_a_result_does_not_differ_from_itself(folders: tuple[str, str]) -> None:
    out = report("--compare", folders[0], f"{folders[0]}/eval.json", "--format", "markdown").stdout
    assert "No class differs significantly." in out
    assert "| yes |" not in out


def test_results_by_other_rules_are_not_compared(tmp_path: Path) -> None:
    one = write_result(tmp_path / "one", "one", 0.1)
    other = write_result(tmp_path / "other", "other", 0.1, protocol="tagclip")
    refused = report("--compare", str(one), str(other)).exception
    assert isinstance(refused, OvsskitError)
    assert "not of the same images, true masks, classes and rules" in str(refused)
    assert "mine val (tagclip), 40 images" in str(refused)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "The record of a result cannot be read: No such file or directory."),
        ("{", "The record of a result cannot be read"),
        ('{"name": "x"}', "This is not the record of a result."),
        ("[]", "The record of a result cannot be read: input should be an object"),
    ],
)
def test_what_is_no_record_is_said(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "eval.json").write_text(content)
    refused = report(str(tmp_path)).exception
    assert isinstance(refused, OvsskitError)
    assert message in str(refused)


def test_a_comparison_needs_the_lines_of_images(folders: tuple[str, str]) -> None:
    (Path(folders[1]) / "images.jsonl").unlink()
    assert report(*folders).exit_code == 0
    refused = report("--compare", *folders).exception
    assert isinstance(refused, OvsskitError)
    assert "Keep `images.jsonl` beside `eval.json`" in str(refused)


def test_the_terminal_shows_the_tables(folders: tuple[str, str]) -> None:
    out = report(*folders).stdout
    assert "good_one" in out
    assert f"{miou(folders[0]):.2f}" in out
