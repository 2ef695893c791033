from __future__ import annotations

import logging
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from ovsskit.engine.identity import stage_identity
from ovsskit.engine.values import Image, Vocabulary
from ovsskit.errors import BadFile, OvsskitError
from ovsskit.recipe.build import load_recipe
from ovsskit.stages.regions.regions_from_files import RegionsFromFiles

NUMBERS = np.random.default_rng(0).integers(0, 300, (12, 17))


def image_of(name: str = "beach") -> Image:
    return Image(torch.rand(3, *NUMBERS.shape), name)


def read(folder: Path, name: str = "beach", **fields: Any) -> np.ndarray:
    regions = RegionsFromFiles(folder=str(folder), **fields).run(image_of(name))
    found: np.ndarray = regions.data.numpy()
    return found


@pytest.mark.parametrize("kind", ["int32", "uint16", "int64", "int16"])
def test_npz(kind: str, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "beach.npz", NUMBERS.astype(kind))
    assert np.array_equal(read(tmp_path), NUMBERS)


def test_of_several_arrays_the_published_name_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "beach.npz", other=NUMBERS + 1, instance_mask=NUMBERS)
    assert np.array_equal(read(tmp_path), NUMBERS)


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_png(mode: str, tmp_path: Path) -> None:
    numbers = NUMBERS.astype("uint16") if mode == "I;16" else (NUMBERS % 256).astype("uint8")
    picture = Pillow.fromarray(numbers)
    if mode == "P":
        picture.putpalette([255, 0, 0] * 256)
    picture.save(tmp_path / "beach.png")
    assert np.array_equal(read(tmp_path), numbers)


def test_folders_of_images_are_looked_for_first(tmp_path: Path) -> None:
    (tmp_path / "trip").mkdir()
    np.savez(tmp_path / "beach.npz", NUMBERS)
    np.savez(tmp_path / "trip" / "beach.npz", NUMBERS + 5)
    assert np.array_equal(read(tmp_path, "trip/beach"), NUMBERS + 5)
    assert np.array_equal(read(tmp_path, "other/beach"), NUMBERS)


def test_numbers_below_zero_need_an_addition(tmp_path: Path) -> None:
    np.savez(tmp_path / "beach.npz", NUMBERS - 1)
    with pytest.raises(BadFile, match="number -1"):
        read(tmp_path)
    assert np.array_equal(read(tmp_path, add=1), NUMBERS)


def test_names_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    np.savez(tmp_path / "secret.npz", NUMBERS)
    with pytest.raises(BadFile, match="no file for the image"):
        read(tmp_path / "inside", "../secret")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("beach.npz", b"no archive", "cannot be read"),
        ("beach.png", b"no image", "cannot be read"),
        ("beach.png", NUMBERS[:5].astype("uint16"), "17 x 5, and the image is 17 x 12"),
        ("beach.npz", {"a": NUMBERS[:5]}, "17 x 5, and the image is 17 x 12"),
        ("beach.npz", {"a": NUMBERS.flatten()}, "of shape .204,., and"),
        ("beach.npz", {"a": NUMBERS * 0.5}, "type float64"),
        ("beach.npz", {"a": NUMBERS, "b": NUMBERS}, "not hold one array"),
        ("beach.npz", {}, "not hold one array"),
        ("beach.npz", {"a": np.zeros((4000, 4000), "int64")}, "more than one of the image's size"),
        ("beach.npz", {"a": np.array([[{}]], dtype=object)}, "cannot be read"),
        ("sea.npz", {"a": NUMBERS}, "no file for the image `beach`"),
    ],
)
def test_other_files_are_refused(name: str, content: Any, says: str, tmp_path: Path) -> None:
    file = tmp_path / name
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif isinstance(content, dict):
        np.savez_compressed(file, **content)
    else:
        Pillow.fromarray(content).save(file)
    with pytest.raises(BadFile, match=says):
        read(tmp_path)


def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", NUMBERS)
    with zipfile.ZipFile(tmp_path / "whole.npz") as whole:
        inside = whole.read("arr_0.npy")
    with zipfile.ZipFile(tmp_path / "beach.npz", "w") as cut:
        cut.writestr("arr_0.npy", inside[:200])
    with pytest.raises(BadFile, match="cannot be read"):
        read(tmp_path)


def test_lacking_files_are_said_before_a_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    np.savez(tmp_path / "beach.npz", NUMBERS)
    stage = RegionsFromFiles(folder=str(tmp_path))
    with caplog.at_level(logging.WARNING):
        stage.check_inputs(Vocabulary.example(), [Path("beach.jpg"), Path("sea.jpg")])
    assert "1 of 2 images have no file of regions" in caplog.text
    with pytest.raises(BadFile, match="no file for the image `sea`"):
        stage.check_inputs(Vocabulary.example(), [Path("sea.jpg")])
    with pytest.raises(BadFile, match="No folder"):
        RegionsFromFiles().check_inputs(Vocabulary.example(), [Path("sea.jpg")])


def test_what_the_files_hold_belongs_to_the_run(tmp_path: Path) -> None:
    np.savez(tmp_path / "beach.npz", NUMBERS)
    stage = RegionsFromFiles(folder=str(tmp_path))
    before = stage_identity(stage)
    np.savez(tmp_path / "beach.npz", NUMBERS + 1)
    assert stage_identity(stage) != before


def test_a_folder_in_a_recipe_stands_beside_it(tmp_path: Path) -> None:
    (tmp_path / "regions").mkdir()
    text = 'name = "x"\nextends = "clip_baseline_tiny"\n'
    text += '[[stage]]\nuse = "regions_from_files"\nafter = "label_map"\nfolder = "FOLDER"\n'
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(text.replace("FOLDER", "regions"))
    stage: Any = load_recipe(recipe).plan.stages[-1]
    assert Path(stage.folder) == (tmp_path / "regions").resolve()
    recipe.write_text(text.replace("FOLDER", "recipe.toml"))
    with pytest.raises(OvsskitError, match="names a folder that does not exist: recipe.toml"):
        load_recipe(recipe)
