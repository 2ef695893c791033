"""`ovsskit run` on rasters: whole files in the folder, and clear words where something is odd."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pytest
import rasterio
from painted_rasters import patches, write_raster
from run_records import read_run

from ovsskit.cli.__main__ import main

TESTS = Path(__file__).parent.parent
WORDS = ("--classes", "red, green, blue")
TOY = ("--plugin", str(TESTS / "toy_stages.py"), *WORDS)
SMALL = ("--window", "64", "--overlap", "16")

DIES = """
import os, signal
from ovsskit import Image, Stage

class Dies(Stage, writes="image"):
    "Kill the program at the window of this number."

    def run(self, image: Image) -> Image:
        os.environ["DIE_AT"] = str(int(os.environ["DIE_AT"]) - 1)
        if os.environ["DIE_AT"] == "0":
            os.kill(os.getpid(), signal.SIGKILL)
        return image
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def ran(*arguments: str) -> tuple[int, str]:
        recipe = str(TESTS / "toy.toml")
        words = ["ovsskit", "run", recipe, *arguments, "--out", "out", *TOY]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capfd.readouterr()
        return int(stopped.value.code or 0), captured.out + captured.err

    return ran


def record() -> dict[str, Any]:
    plain = read_run("out")
    return plain


def test_rasters_and_photographs_run_together(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    write_raster(folder / "map.tif", patches(150, 130))
    PIL.Image.new("RGB", (20, 10), "blue").save(folder / "photo.png")
    status, said = run("images", *SMALL, "--profile")
    assert status == 0, said
    assert "map.tif: run in 12 windows of 64 x 64 pixels" in said
    with rasterio.open("out/masks/map.tif") as mask:
        assert numpy.array_equal(mask.read(1), patches(150, 130).argmax(0) + 1)
    assert PIL.Image.open("out/masks/photo.png").getextrema() == (3, 3)
    plain = record()
    assert plain["windows"] == {"side": 64, "overlap": 16}
    assert [one["size"] for one in plain["images"]] == [[130, 150], [20, 10]]
    assert plain["costs"]["stages"].keys() == {"toy_colours", "toy_softmax", "toy_labels"}
    for name in ("overlays/map.jpg", "gallery/layers/map.js", "gallery/thumbs/map.jpg"):
        assert (tmp_path / "out" / name).is_file()
    assert '"name": "map"' in Path("out/gallery/pages/000000.js").read_text()
    assert "Nothing to do" in run("images", *SMALL)[1]
    Path("out/masks/map.tif").unlink()
    assert run("images", *SMALL)[0] == 0
    assert Path("out/masks/map.tif").is_file()


def test_other_windows_are_another_run(run: Any, tmp_path: Path) -> None:
    write_raster(tmp_path / "map.tif", patches(150, 130))
    assert run("map.tif")[0] == 0
    status, said = run("map.tif", *SMALL)
    assert (status, "windows" in said, "another run" in said) == (2, True, True)


def test_a_small_photograph_with_a_place_keeps_it(run: Any, tmp_path: Path) -> None:
    path = write_raster(tmp_path / "map.tif", patches(50, 60))
    assert run("map.tif")[0] == 0
    with rasterio.open(path) as source, rasterio.open("out/masks/map.tif") as mask:
        assert (mask.crs, mask.transform) == (source.crs, source.transform)
    assert record()["images"][0]["notes"] == []


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_large_tiff_without_a_place_runs_in_windows(run: Any, tmp_path: Path) -> None:
    data = patches(150, 130)
    PIL.Image.fromarray(numpy.moveaxis(data, 0, -1)).save(tmp_path / "a.tif")
    status, said = run("a.tif", *SMALL, "--max-pixels", "10000")
    assert status == 0, said
    with rasterio.open("out/masks/a.tif") as mask:
        assert mask.crs is None
        assert numpy.array_equal(mask.read(1), data.argmax(0) + 1)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--save-scores",), "The scores of rasters are not saved"),
        (("--truth", "masks"), "Rasters are not compared with true masks"),
        (("--window", "64", "--overlap", "40"), "Windows of 64 pixels cannot share 40"),
        (("--window", "8"), "greater than or equal to 32"),
    ],
)
def test_what_rasters_cannot_do_is_told_before_anything_is_written(
    run: Any, tmp_path: Path, more: tuple[str, ...], message: str
) -> None:
    write_raster(tmp_path / "map.tif", patches(50, 60))
    status, said = run("map.tif", *more)
    assert (status, message in said) == (2, True), said
    assert not Path("out").exists()


def test_deep_numbers_need_a_fixed_stretch(run: Any, tmp_path: Path) -> None:
    write_raster(tmp_path / "map.tif", patches(90, 90).astype("uint16") * 10)
    status, said = run("map.tif")
    assert (status, "--stretch 0,2550" in said) == (2, True), said
    assert not Path("out").exists()
    assert run("map.tif", "--stretch", "0,2550")[0] == 0
    with rasterio.open("out/masks/map.tif") as mask:
        assert numpy.array_equal(mask.read(1), patches(90, 90).argmax(0) + 1)


def test_without_rasterio_the_extra_is_named(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_raster(tmp_path / "map.tif", patches(50, 60))
    monkeypatch.setitem(sys.modules, "rasterio", None)
    status, said = run("map.tif")
    assert status == 2
    assert "`map.tif` is a raster, and needs the package `rasterio`" in said
    assert 'pip install "ovsskit[geo]"' in said
    assert not Path("out").exists()


def test_a_raster_that_cannot_be_read_fails_alone(run: Any, tmp_path: Path) -> None:
    write_raster(tmp_path / "a.tif", numpy.zeros((5, 40, 40), "uint8"))
    write_raster(tmp_path / "b.tif", patches(50, 60))
    status, said = run("a.tif", "b.tif")
    assert (status, "Nothing says which of its bands are red" in said) == (1, True)
    assert [one["state"] for one in record()["images"]] == ["failed", "done"]
    assert not Path("out/windows").exists()


def test_a_killed_run_goes_on_with_the_windows_that_are_left(tmp_path: Path, run: Any) -> None:
    write_raster(tmp_path / "map.tif", patches(200, 200))
    (tmp_path / "dies.py").write_text(DIES)
    stages = "".join(
        f'[[stage]]\nuse = "{name}"\n'
        for name in ("dies", "toy_colours", "toy_softmax", "toy_labels")
    )
    (tmp_path / "dying.toml").write_text(stages)
    command = [
        sys.executable, "-m", "ovsskit", "run", "dying.toml", "map.tif", "--out", "out", *SMALL,
        "--batch", "1", "--plugin", str(TESTS / "toy_stages.py"), "--plugin", "dies.py", *WORDS,
    ]  # fmt: skip
    killed = subprocess.run(command, env=os.environ | {"DIE_AT": "9"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(Path("out/windows/map").rglob("*.npz"))) == 8
    again = subprocess.run(command, env=os.environ | {"DIE_AT": "18"}, check=False)
    assert again.returncode == 0  # 25 windows, of which 17 were left
    with rasterio.open("out/masks/map.tif") as mask:
        assert numpy.array_equal(mask.read(1), patches(200, 200).argmax(0) + 1)
    assert not Path("out/windows").exists()
