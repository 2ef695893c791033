"""The gallery and the page of an evaluation in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pytest
from browsing import browsing, needs_browser, wait
from run_records import read_run

import ovsskit
from ovsskit.cli.app import app
from ovsskit.recipe import registry
from ovsskit.run.samples import sample_images

pytestmark = needs_browser
TESTS = Path(__file__).parent.parent.parent
WORD = "<script>document.title = 1</script>"
CLASSES = ["red", "blue", WORD]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run and measure the toy recipe on an image, half of it red and half blue, in truth one."""
    from typer.testing import CliRunner

    found = tmp_path_factory.mktemp("pages")
    for name in ("photos", "truth"):
        (found / name).mkdir()
    image = numpy.zeros((40, 60, 3), "uint8")
    image[:, :30, 0] = image[:, 30:, 2] = 255
    PIL.Image.fromarray(image).save(found / "photos" / "half.png")
    PIL.Image.fromarray(numpy.ones((40, 60), "uint8")).save(found / "truth" / "half.png")
    (found / "classes.json").write_text(
        json.dumps([{"number": index, "name": name} for index, name in enumerate(CLASSES, 1)])
    )
    toy, plugin = str(TESTS / "toy.toml"), str(TESTS / "toy_stages.py")
    arguments = ["run", toy, str(found / "photos"), "--classes", json.dumps(CLASSES)]
    arguments += ["--truth", str(found / "truth"), "--truth-classes", str(found / "classes.json")]
    arguments += ["--out", str(found / "run"), "--plugin", plugin, "--quiet"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    registry.load_plugin(Path(plugin))
    ovsskit.run_eval(
        toy,
        images=found / "photos",
        truth=found / "truth",
        truth_classes=found / "classes.json",
        out=found / "eval",
    )
    return found


@pytest.fixture
def gallery(folder: Path) -> Iterator[Any]:
    with browsing((folder / "run" / "index.html").as_uri()) as page:
        yield page


@pytest.fixture
def evaluation(folder: Path) -> Iterator[Any]:
    with browsing((folder / "eval" / "index.html").as_uri()) as page:
        yield page


def texts(page: Any, selector: str) -> list[str]:
    found: list[str] = page.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(one => one.textContent)", selector
    )
    return found


def test_the_gallery_shows_what_is_true_and_what_is_wrong(gallery: Any) -> None:
    wait(gallery, "document.querySelectorAll('.card').length === 1")
    assert "mIoU 25.0: red, blue" in texts(gallery, ".card span")[0]
    gallery.execute_script("document.querySelector('.card').click()")
    wait(gallery, "ranks !== null")
    for side, folder in (("truth", "gallery/truth"), ("errors", "gallery/errors")):
        gallery.execute_script(f"document.querySelector('[data-side={side}]').click()")
        wait(gallery, "part('image').complete && part('image').naturalWidth > 0")
        assert folder in gallery.execute_script("return part('image').src")
        assert gallery.execute_script("return part('layer').hidden")
    gallery.execute_script("document.querySelector('[data-side=found]').click()")
    assert not gallery.execute_script("return part('layer').hidden")


def test_the_tables_of_an_evaluation_sort_and_words_are_text(evaluation: Any) -> None:
    wait(evaluation, "document.querySelectorAll('#rows tr').length === 3")
    assert texts(evaluation, "#rows td:first-child") == ["red", "blue", WORD]
    assert evaluation.title.startswith("toy on photos")
    evaluation.execute_script("document.querySelectorAll('#heads button')[0].click()")
    assert texts(evaluation, "#rows td:first-child") == [WORD, "blue", "red"]
    evaluation.execute_script(
        "part('search').value = 'RE'; part('search').dispatchEvent(new Event('input'))"
    )
    assert texts(evaluation, "#rows td:first-child") == ["red"]
    assert texts(evaluation, "#rows td:last-child") == ["blue (50.0 %)"]


def test_the_pictures_of_an_evaluation_can_be_filtered(evaluation: Any) -> None:
    wait(evaluation, "document.querySelectorAll('#pictures figure').length === 1")
    wait(evaluation, "document.querySelector('#pictures img').naturalWidth > 0")
    shown = "[...part('chosen').options].map(one => one.value)"
    assert evaluation.execute_script(f"return {shown}") == ["", "red"]
    evaluation.execute_script("part('order').value = '-1'; part('order').onchange()")
    assert texts(evaluation, "figcaption") == ["half: mIoU 25.00"]


def test_an_image_in_folders_is_found_by_the_gallery(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    path = tmp_path / "photos" / "of a" / "#1" / "half.png"
    path.parent.mkdir(parents=True)
    PIL.Image.new("RGB", (60, 40), "red").save(path)
    arguments = ["run", str(TESTS / "toy.toml"), str(tmp_path / "photos"), "--classes", "red, blue"]
    arguments += ["--out", str(tmp_path / "run"), "--plugin", str(TESTS / "toy_stages.py")]
    assert CliRunner().invoke(app, [*arguments, "--quiet"]).exit_code == 0
    with browsing((tmp_path / "run" / "index.html").as_uri()) as page:
        wait(page, "shown.length === 1")
        page.execute_script("open(shown[0])")
        wait(page, "ranks && document.querySelectorAll('#maps img').length > 0")
        page.execute_script("for (const one of document.images) one.loading = 'eager'")
        wait(page, "[...document.images].every(one => one.complete || !one.src)")
        broken = page.execute_script(
            "return [...document.images].filter(one => one.src && !one.naturalWidth)"
            ".map(one => one.src)"
        )
        assert broken == []


def test_the_gallery_says_which_words_the_model_does_not_know_and_why_a_class_is_missing(
    tmp_path: Path,
) -> None:
    from typer.testing import CliRunner

    [scene, *_] = sample_images()
    arguments = ["run", "quickstart", str(scene), "--classes", "giraffe, bus, tree"]
    done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    record = read_run(tmp_path / "out")
    told = "the tiny model knows only 30 words, and not these: giraffe"
    assert any(notice.startswith(told) for notice in record["notices"])
    presence = record["images"][0]["presence"]
    assert sorted(number for number, _ in presence) == [1, 2, 3]
    assert all(0 <= value <= 1 for _, value in presence)
    with browsing((tmp_path / "out/index.html").as_uri()) as page:
        assert any(told in text for text in texts(page, "header .notice"))
        wait(page, "shown.length === 1")
        page.execute_script("document.querySelector('.card').click()")
        [shown] = texts(page, "#presence")
        for name in ("giraffe", "bus", "tree"):
            assert f"{name}: 0." in shown or f"{name}: 1." in shown
