from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pytest
import tifffile

from ovsskit.cli.__main__ import main

TESTS = Path(__file__).parent.parent
TOY = ("--plugin", str(TESTS / "toy_stages.py"), "--classes", "red, green, blue", "--out", "out")


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def ran(*arguments: str) -> tuple[int, str]:
        recipe = str(TESTS / "toy.toml")
        monkeypatch.setattr(sys, "argv", ["ovsskit", "run", recipe, *arguments, *TOY])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capfd.readouterr()
        return int(stopped.value.code or 0), captured.out + captured.err

    return ran


def record(folder: str = "out") -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(Path(folder, "run.json").read_text(encoding="utf-8"))
    return plain


def mask(name: str) -> list[int]:
    return sorted({*numpy.asarray(PIL.Image.open(f"out/masks/{name}.png")).ravel().tolist()})


def write_red(path: str) -> None:
    """Write 12 bits of red, half dark and half bright."""
    numbers = numpy.zeros((8, 8, 3), "uint16")
    numbers[:, :, 0] = 4000
    tifffile.imwrite(path, numbers, photometric="rgb")


def test_deep_images_are_stretched_and_the_record_says_how(run: Any) -> None:
    write_red("deep.tif")
    assert run("deep.tif")[0] == 0
    assert mask("deep") == [1]
    plain = record()
    assert plain["reading"] == {"stretch": "percentile", "bands": []}
    [image] = plain["images"]
    assert "numbers from 0 to 4000 became black to white (percentiles 2 and 98)" in image["notes"]


def test_another_stretch_is_another_run(run: Any) -> None:
    write_red("deep.tif")
    assert run("deep.tif")[0] == 0
    status, said = run("deep.tif", "--stretch", "none")
    assert (status, "reading.stretch" in said) == (2, True)
    assert run("deep.tif")[0] == 0


def test_bands_are_chosen(run: Any) -> None:
    numbers = numpy.zeros((8, 8, 5), "uint8")
    numbers[..., 3] = 255
    tifffile.imwrite("five.tif", numbers, photometric="minisblack", planarconfig="contig")
    status, said = run("five.tif")
    assert (status, "--bands 3,2,1" in said) == (1, True)
    assert run("five.tif", "--bands", "1,2,4")[0] == 0  # nothing was done: it is no other run
    assert mask("five") == [3]
    assert record()["reading"] == {"stretch": "percentile", "bands": [1, 2, 4]}


@pytest.mark.parametrize("text", ["1,2", "0,1,2", "a", "", "1;2;3"])
def test_what_names_no_bands(run: Any, text: str) -> None:
    status, said = run("--bands", text)
    assert (status, "does not name bands" in said) == (2, True)
