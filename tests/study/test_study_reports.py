"""The best recipe, the report and the table say what a study found."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from ovsskit.cli.study_report import best_table, facts
from ovsskit.recipe.build import load_recipe
from ovsskit.study.search.state import StudyState

Search = Callable[..., StudyState]
Write = Callable[..., Path]


def test_the_best_recipe_extends_the_original_with_its_comments(search: Search) -> None:
    state = search(trials=12)
    text = (state.out / "best.toml").read_text()
    assert "1 before; the lowest but one" in text
    assert "0.1 before; rather low" in text
    best = load_recipe(state.out / "best.toml")
    assert state.best is not None
    assert best.plan.stages[-1].at == state.best.params["toy_cut.at"]  # type: ignore[attr-defined]
    assert tomllib.loads(text)["extends"].endswith("toy.toml")


def test_the_report_gives_the_numbers_of_the_study_and_needs_nothing_from_elsewhere(
    search: Search,
) -> None:
    state = search(trials=12, draw=True)
    page = (state.out / "index.html").read_text()
    for part in ("History", "Slices", "Parallel coordinates", "data:image/jpeg"):
        assert part in page
    assert "http://" not in page
    assert "https://" not in page
    script = state.out / re.findall(r'<script src="([^"]*)"></script>', page)[0]
    assert "plotly.js" in script.read_text(encoding="utf-8")[:100]
    recorded = json.loads((state.out / "study.json").read_text())["files"]
    assert {"index.html", "plotly.min.js"} <= recorded.keys()
    plots = re.findall(r'Plotly\.newPlot\(\s*"([^"]*)"', page)
    sections = ("history", "importance", "contour", "slices", "parallel")
    assert Counter(place.split("-")[0] for place in plots) == dict.fromkeys(sections, 1) | {
        "slices": 2
    }
    best = state.best
    assert best is not None
    assert best.values is not None
    shown = re.findall(r"<b(?: class=\"better\")?>([^<]*)</b>", page)
    params = [f"{value:.4g}" for value in best.params.values()]
    assert shown[:2] == [f"{state.default['values'][0]:.4g}", f"{best.values[0]:.4g}"]
    assert shown[2 : 2 + len(params)] == params
    data = json.loads(re.findall(r'id="data">(.*?)</script>', page)[0])
    assert [(one["turn"], one["values"]) for one in data["trials"]] == [
        (row.turn, row.values) for row in state.rows
    ]
    pairs = re.findall(
        r"<h3>(p\d)</h3>.*?unchanged: ([\d.]+)</figcaption>.*?best: ([\d.]+)</figcaption>",
        page,
        re.DOTALL,
    )
    assert len(pairs) == 6
    for name, before, after in pairs:
        index = [path.stem for path in state.plan.images].index(name)
        assert float(before) == pytest.approx(state.default["images"][str(index)], rel=1e-3)
        assert float(after) == pytest.approx(best.result["images"][str(index)], rel=1e-3)


def test_names_of_a_study_its_objectives_and_its_images_are_text_in_the_report(
    search: Search, study_file: Write, photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copy(photos / "p1.png", folder / "<img src=x onerror=alert(1)>.png")
    tables = (
        '[[objective]]\nuse = "toy_goal"\nname = "<i>goal"\n'
        '[[objective]]\nmetric = "seconds"\nname = "</script><script>alert(2)</script>"\n'
        '[space]\n"toy_cut.mode" = { choices = ["", "<script>alert(3)</script>"] }\n'
    )
    study = study_file('name = "one & two"', tables)
    state = search(study, draw=True, images=(str(folder),), trials=2)
    page = (state.out / "index.html").read_text()
    assert "<h1>one &amp; two</h1>" in page
    assert "&lt;img src=x" in page
    for told in ("<img src=x", "<i>goal", "<script>alert"):
        assert told not in page


def test_the_table_of_the_best_trials(search: Search) -> None:
    state = search(trials=6, sampler="random")
    console = Console(width=120)
    with console.capture() as captured:
        console.print(best_table(state))
    lines = [line.split() for line in captured.get().splitlines()]
    [default, *shown] = lines[-7:]
    assert default[:2] == ["unchanged", f"{state.default['values'][0]:.4g}"]
    ranked = sorted(state.rows, key=lambda row: -(row.values or [0.0])[0])
    for line, row in zip(shown, ranked, strict=True):
        assert row.values is not None
        params = [f"{value:.4g}" for value in row.params.values()]
        assert line == [str(row.turn), f"{row.values[0]:.4g}", *params, f"{row.took:.1f}"]
    assert facts(state)[0] == "trials          6 done"
