"""The page of a study in a real browser: plots, the table of trials, recipes, words as text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pytest
from browsing import browsing, needs_browser, wait

import ovsskit
from ovsskit.cli.options import load_plugins
from ovsskit.recipe.build import load_recipe

pytestmark = needs_browser
TESTS = Path(__file__).parent
WORD = "<script>document.title = 1</script>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Search the toy recipe with halving, on images of which one has an odd name."""
    found = tmp_path_factory.mktemp("study")
    load_plugins([TESTS / "study_stages.py"])
    (found / "photos").mkdir()
    random = numpy.random.default_rng(3)
    for number in range(13):
        pixels = random.integers(0, 255, (12, 16, 3), "uint8")
        name = WORD.replace("/", "") if number == 7 else str(number)
        PIL.Image.fromarray(pixels).save(found / f"photos/{name}.png")
    (found / "own.toml").write_text(
        f'name = "own"\nextends = {str(TESTS / "toy.toml")!r}\n[vocabulary]\nnames = ["{WORD}"]\n'
    )
    ovsskit.run_study(
        found / "own.toml",
        images=[found / "photos"],
        out=found / "out",
        trials=14,
        pruner="halving",
        accept="best",
    )
    return found


@pytest.fixture
def page(folder: Path) -> Iterator[Any]:
    with browsing((folder / "out/index.html").as_uri()) as found:
        wait(found, "document.querySelectorAll('#trials tr').length > 0")
        yield found


def texts(page: Any, selector: str) -> list[str]:
    found: list[str] = page.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(one => one.textContent)", selector
    )
    return found


def values(page: Any) -> list[str]:
    return texts(page, "#trials tr td:nth-child(2)")


def test_the_table_holds_every_trial_the_best_first_and_sorts(page: Any) -> None:
    assert page.title == "own: study"
    assert len(values(page)) == 14
    judged = [float(one) for one in values(page) if one != "-"]
    assert judged == sorted(judged, reverse=True)
    assert values(page)[len(judged) :] == ["-"] * (14 - len(judged))
    page.execute_script("document.querySelector('#heads th:nth-child(2) button').click()")
    assert [float(one) for one in values(page) if one != "-"] == judged[::-1]
    page.execute_script("document.querySelector('#heads th:nth-child(1) button').click()")
    assert texts(page, "#trials tr td:first-child") == [str(number) for number in range(14)]


def test_a_trial_opens_its_recipe_which_loads(page: Any, folder: Path) -> None:
    page.execute_script("document.querySelector('#heads th:nth-child(1) button').click()")
    page.execute_script("document.querySelectorAll('#trials td button')[5].click()")
    [recipe] = texts(page, "#trials pre")
    file = folder / "out/trial_5.toml"
    file.write_text(recipe)
    number = page.execute_script("return data.trials.find(one => one.turn === 5).params")
    stages = {stage.address: stage for stage in load_recipe(file).plan.stages}
    assert stages["toy_cut"].at == number["toy_cut.at"]  # type: ignore[attr-defined]
    page.execute_script("document.querySelectorAll('#trials td button')[5].click()")
    assert texts(page, "#trials pre") == []


def test_pruned_trials_are_drawn_with_what_they_gave_after_fewer_images(page: Any) -> None:
    drawn = page.execute_script("return document.getElementById('intermediate-0').data.length")
    pruned = page.execute_script("return data.trials.filter(one => one.state === 'pruned').length")
    assert pruned > 0
    assert drawn >= pruned
    assert page.execute_script("return document.querySelectorAll('.plot svg').length") > 0


def test_the_command_that_runs_the_best_recipe_stands_there(page: Any, folder: Path) -> None:
    [command] = texts(page, "#command")
    assert command == f"ovsskit run {folder / 'out/best.toml'} IMAGES"


def test_it_fits_a_phone(page: Any) -> None:
    page.set_window_size(390, 844)
    wait(page, "innerWidth <= 500")
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    wait(page, f"{wide} <= 1")
