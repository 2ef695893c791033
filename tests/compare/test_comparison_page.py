"""The page of a comparison in a real browser: a swipe, orders, filters, and words as text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pytest
from browsing import browsing, needs_browser, wait
from typer.testing import CliRunner

from ovsskit.cli.app import app

pytestmark = needs_browser
TESTS = Path(__file__).parent.parent
WORD = "<script>document.title = 1</script>"


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the toy recipe twice on a red-and-blue and a red image; the second run knows no blue."""
    found = tmp_path_factory.mktemp("comparison")
    for name in ("photos", "truth"):
        (found / name).mkdir()
    half = numpy.zeros((40, 60, 3), "uint8")
    half[:, :30, 0] = half[:, 30:, 2] = 255
    red = numpy.zeros((30, 900, 3), "uint8")
    red[..., 0] = 255
    for name, pixels in (("half", half), ("red", red)):
        PIL.Image.fromarray(pixels).save(found / "photos" / f"{name}.png")
        true = numpy.ones(pixels.shape[:2], "uint8")
        PIL.Image.fromarray(true).save(found / "truth" / f"{name}.png")
    (found / "classes.json").write_text(json.dumps([{"number": 1, "name": "red"}]))
    for name, classes in (("first", ["red", "blue", WORD]), ("second", ["red", "green"])):
        done = invoke(
            *("run", TESTS / "toy.toml", found / "photos", "--out", found / name, "--quiet"),
            *("--plugin", TESTS / "toy_stages.py", "--classes", json.dumps(classes)),
            *("--truth", found / "truth", "--truth-classes", found / "classes.json"),
        )
        assert done.exit_code == 0, done.output
    runs = (found / "first", found / "second")
    done = invoke("compare", *runs, "--out", found / "compare.html", "--quiet")
    assert done.exit_code == 0, done.output
    return found


@pytest.fixture
def page(folder: Path) -> Iterator[Any]:
    with browsing((folder / "compare.html").as_uri()) as found:
        wait(found, "maps !== null")
        yield found


def texts(page: Any, selector: str) -> list[str]:
    found: list[str] = page.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(one => one.textContent)", selector
    )
    return found


def tinted(page: Any, layer: int) -> int:
    found: int = page.execute_script(
        "const one = layers[arguments[0]];"
        "const { data } = one.getContext('2d').getImageData(0, 0, one.width, one.height);"
        "return data.filter((value, index) => index % 4 === 3 && value > 0).length",
        layer,
    )
    return found


def test_the_page_shows_the_most_different_first_and_words_are_text(page: Any) -> None:
    assert texts(page, ".card b") == ["half", "red"]
    assert page.execute_script("return part('image').naturalWidth") == 60
    assert page.title.endswith("second - ovsskit")
    assert page.execute_script("return data.images[1].width") == 640


def test_two_runs_are_swiped(page: Any) -> None:
    page.execute_script("part('swipe').value = 20; part('swipe').oninput()")
    first, second = page.execute_script("return layers.map(one => one.style.clipPath)")
    assert (first, second) == ("inset(0px 80% 0px 0px)", "inset(0px 0px 0px 20%)")


def test_only_what_differs_is_shown_on_demand(page: Any) -> None:
    before = tinted(page, 0)
    page.execute_script("part('differing').checked = true; part('differing').onchange()")
    assert 0 < tinted(page, 0) < before
    page.execute_script("document.querySelectorAll('.card')[1].click()")
    wait(page, "maps !== null && current.name === 'red'")
    assert tinted(page, 0) == tinted(page, 1) == 0


def test_images_can_be_sorted_by_the_truth_and_filtered_by_class(page: Any) -> None:
    assert texts(page, "#order option")[1:] == [
        "B closer to the truth first",
        "A closer to the truth first",
    ]
    page.execute_script(
        "const blue = [...part('chosen').options].find(one => one.textContent === 'blue');"
        "part('chosen').value = blue.value; part('chosen').onchange()"
    )
    assert texts(page, ".card b") == ["half"]


def test_the_table_of_classes_sorts(page: Any) -> None:
    page.execute_script("document.querySelector('#heads button').click()")
    names = texts(page, "#rows td:first-child")
    assert names == ["blue", "red"]


def test_the_page_fits_a_phone(page: Any) -> None:
    page.set_window_size(500, 900)
    wide = page.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 1
