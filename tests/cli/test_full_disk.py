"""A disk that is really full: commands say so, lose nothing, and go on when there is room."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tomllib import loads as read_toml

import numpy
import PIL.Image
import pytest
from finished_runs import tree

from ovsskit.cli.__main__ import main
from ovsskit.recipe.registry import load_plugin

TESTS = Path(__file__).parent.parent
SIZE = 24 << 20
ROOMS = (0, *(int(4096 * 1.8**step) for step in range(14)))
"""Bytes of room that there are, one after the other, until the command ends."""
WORDS = ("--classes", "red, green, blue")
TOY = (str(TESTS / "toy.toml"), "photos", *WORDS, "--batch", "1", "--quiet")
TRUTH = ("--truth", "truth", "--truth-classes", "classes.txt")
STUDY = (str(TESTS / "study/toy.toml"), "photos", "--trials", "6", "--accept", "best", "--quiet")
COMMANDS = {
    "run": ("run", *TOY, "--save-confidence", "--save-scores", "--export", "coco"),
    "eval": ("eval", *TOY, *TRUTH, "--save-masks"),
    "export": ("export", "found", "--to", "coco", "--copy-images", "--quiet"),
    "study": ("study", *STUDY, "--sampler", "random", "--device", "cpu"),
}
TIMES = {"run.json", "eval.json", "export.json", "images.sqlite", "index.html"}
"""Files that hold times."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a small disk, which only root may mount."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("only root mounts a small disk, on Linux")
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this container may not mount a disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_plugins_left: None) -> Path:
    monkeypatch.chdir(tmp_path)
    load_plugin(TESTS / "toy_stages.py")
    load_plugin(TESTS / "study/study_stages.py")
    for kind in ("photos", "truth"):
        Path(kind).mkdir()
    for number in range(6):
        noise = numpy.random.default_rng(number).integers(0, 256, (60, 60, 3), "uint8")
        PIL.Image.fromarray(noise).save(f"photos/{number}.png")
        PIL.Image.new("L", (60, 60), 1 + number % 3).save(f"truth/{number}.png")
    Path("classes.txt").write_text("1 red\n2 green\n3 blue\n")
    return tmp_path


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["ovsskit", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def fill(disk: Path, room: int) -> None:
    """Leave so many bytes of room on a disk."""
    filler = disk / "filler"
    filler.unlink(missing_ok=True)
    free = os.statvfs(disk)
    with filler.open("wb") as file:
        file.write(bytes(max(0, free.f_bavail * free.f_frsize - room)))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_told_and_the_command_goes_on_when_there_is_room(
    home: Path,
    disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    name: str,
) -> None:
    if name == "export":
        assert call(monkeypatch, *COMMANDS["run"][:-2], "--out", "found") == 0
    assert call(monkeypatch, *COMMANDS[name], "--out", "whole") == 0
    out, refused = disk / "out", 0
    capfd.readouterr()
    for room in ROOMS:
        fill(disk, room)
        monkeypatch.chdir(disk if name == "run" else home)  # where `--export` writes
        words = [str(home / one) if one in ("photos", "truth") else one for one in COMMANDS[name]]
        status = call(monkeypatch, *words, "--out", str(out))
        said = capfd.readouterr().err
        if status == 0:
            break
        refused += 1
        assert status == 1, said
        assert "The disk is full." in said
        assert "Traceback" not in said
    assert refused > 1
    assert status == 0
    (disk / "filler").unlink()
    if name == "study":  # its other files hold times and places
        best = [read_toml((at / "best.toml").read_text()) for at in (out, home / "whole")]
        assert best[0] | {"extends": ""} == best[1] | {"extends": ""}  # by the way from there
        return
    assert tree(out) == tree(home / "whole")
    for one in tree(out) - TIMES:
        assert (out / one).read_bytes() == (home / "whole" / one).read_bytes(), one
