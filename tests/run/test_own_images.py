"""The images that a recipe names itself: where they lie, and what `check` says of missing ones."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
import pytest

from ovsskit.errors import NoImages
from ovsskit.recipe.build import load_recipe
from ovsskit.run.options import ImageOptions, choose_images
from ovsskit.study.spec.check_file import check_file

RECIPE = 'extends = "quickstart"\n[vocabulary]\nnames = ["dog"]\n[input]\nimages = [{}]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("base/photos", "other"):
        (tmp_path / name).mkdir(parents=True)
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "base/photos/a.png")
    (tmp_path / "base/base.toml").write_text(RECIPE.format('"photos"'))
    (tmp_path / "other/variant.toml").write_text('extends = "../base/base.toml"\n')
    return tmp_path


def test_paths_start_at_the_file_that_names_them(folder: Path) -> None:
    for name in ("base/base.toml", "other/variant.toml"):
        recipe = load_recipe(folder / name)
        [found] = choose_images(ImageOptions(str(folder / name)), recipe).images
        assert found.resolve() == (folder / "base/photos/a.png").resolve()
        check_file(str(folder / name))


@pytest.mark.parametrize("text", ["photos/b.png", "nowhere", "photos/*.jpg"])
def test_missing_images_are_found_by_a_check_with_file_and_line(folder: Path, text: str) -> None:
    path = folder / "base/base.toml"
    path.write_text(RECIPE.format(f'"photos", "{text}"'))
    with pytest.raises(NoImages) as caught:
        check_file(str(path))
    assert str(caught.value.where) == f"{path}:5"
    assert caught.value.what == f"input.images names no image that exists: {text}"


def test_what_the_command_line_names_is_below_the_present_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    check_file("base/base.toml", ['input.images=["base/photos"]'])
    with pytest.raises(NoImages, match="current folder"):
        check_file("base/base.toml", ['input.images=["photos"]'])


def test_a_check_asks_no_address(folder: Path) -> None:
    path = folder / "base/base.toml"
    path.write_text(RECIPE.format('"https://localhost:9/a.png"'))
    check_file(str(path))
