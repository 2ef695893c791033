from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image

from ovsskit.engine.notices import Silent
from ovsskit.recipe.registry import load_plugin
from ovsskit.study.report import report
from ovsskit.study.search.state import StudyState
from ovsskit.study.spec.options import StudyOptions
from ovsskit.study.study import search as search_with

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def toy_stages(no_plugins_left: None) -> None:
    load_plugin(HERE / "study_stages.py")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of six images of even brightness from black to white, with masks of their
    brighter two fifths.
    """
    folder = tmp_path_factory.mktemp("images")
    (folder / "masks").mkdir()
    for index in range(6):
        places = numpy.random.default_rng(index).permutation((16 + index) * 16)
        grey = (places / places.size * 255).astype("uint8").reshape(16 + index, 16)
        Image.fromarray(grey).convert("RGB").save(folder / f"p{index}.png")
        Image.fromarray((grey > 153).astype("uint8")).save(folder / "masks" / f"p{index}.png")
    return folder


@pytest.fixture
def study_file(tmp_path: Path) -> Callable[..., Path]:
    """Return what writes a study file of the toy recipe: `text` is TOML before any table."""

    def write(text: str = "", tables: str = "", name: str = "study.toml") -> Path:
        path = tmp_path / name
        path.write_text(f"recipe = {json.dumps(str(HERE / 'toy.toml'))}\n{text}\n{tables}\n")
        return path

    return write


@pytest.fixture
def search(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., StudyState]:
    """Return what runs a study on the images, here and now; a report is drawn on demand."""

    def run(
        study: Path = HERE / "toy.toml", out: str = "out", *, draw: bool = False, **more: Any
    ) -> StudyState:
        if not draw:
            monkeypatch.setattr(report, "page_text", lambda *_: "<html></html>")
        settings: dict[str, Any] = {
            key: more.pop(key)
            for key in ("trials", "seed", "sampler", "pruner", "preset")
            if key in more
        }
        images = tuple(str(path) for path in sorted(photos.glob("*.png")))
        settings["accept"] = "best"
        given = {"images": images, "out": tmp_path / out, "device": "cpu", "batch": "2", **more}
        return search_with(StudyOptions(str(study), settings=settings, **given), Silent())

    return run
