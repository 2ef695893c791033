from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy
import PIL.Image
import pytest
import tifffile
from run_records import read_run
from small_videos import write_video

from ovsskit.cli.__main__ import main

TESTS = Path(__file__).parent.parent
TOY = ("--plugin", str(TESTS / "toy_stages.py"), "--classes", "red, green, blue")


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def ran(*arguments: str) -> tuple[int, str]:
        recipe = str(TESTS / "toy.toml")
        out = () if "--out" in arguments else ("--out", "out")
        monkeypatch.setattr(sys, "argv", ["ovsskit", "run", recipe, *arguments, *TOY, *out])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capfd.readouterr()
        return int(stopped.value.code or 0), captured.out + captured.err

    return ran


def record(folder: str = "out") -> dict[str, Any]:
    return read_run(folder)


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


def test_the_numbers_that_become_black_and_white_are_named(run: Any) -> None:
    write_red("deep.tif")
    assert run("deep.tif", "--stretch", "-5,3e3")[0] == 0
    assert record()["reading"] == {"stretch": [-5.0, 3000.0], "bands": []}


@pytest.mark.parametrize("text", ["percentiles", "1", "3,2", "2,2", "0,nan", "0,inf", "1,2,3", ""])
def test_what_is_no_stretch(run: Any, text: str) -> None:
    status, said = run("deep.tif", "--stretch", text)
    assert (status, "does not say which numbers become black" in said) == (2, True)


@pytest.mark.parametrize("text", ["1,2", "0,1,2", "a", "", "1;2;3"])
def test_what_names_no_bands(run: Any, text: str) -> None:
    status, said = run("--bands", text)
    assert (status, "does not name bands" in said) == (2, True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, colour in {"a/x.png": "red", "a/b/x.png": "lime", "x.png": "blue"}.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", (9, 8), colour).save(path)
    (tmp_path / "photos" / "a" / "film.mov").write_bytes(b"film")
    (tmp_path / "photos" / "notes.md").write_bytes(b"notes")
    return tmp_path


def test_files_mirror_the_tree_and_a_second_run_has_nothing_to_do(run: Any, tree: Path) -> None:
    status, said = run("photos", "--explain", "a/b/x", "--save-scores")
    assert status == 0, said
    assert [mask(name) for name in ("a/x", "a/b/x", "x")] == [[1], [2], [3]]
    assert [one["name"] for one in record()["images"]] == ["a/b/x", "a/x", "x"]
    out = tree / "out"
    for folder, ending in (("overlays", "jpg"), ("scores", "npz"), ("gallery/layers", "js")):
        assert (out / folder / "a" / "b" / f"x.{ending}").is_file()
    assert list((out / "maps" / "a" / "b" / "x").iterdir())
    assert "Nothing to do" in run("photos")[1]
    (out / "masks" / "a" / "x.png").unlink()
    assert "1 of the 3 finished images are done again" in run("photos")[1]
    assert mask("a/x") == [1]


def test_what_was_left_out_is_told_at_the_end_and_in_the_record(run: Any, tree: Path) -> None:
    _, said = run("photos")
    text = "2 files left out: 1 .md, 1 .mov"
    assert text in said[said.index("images ") :]
    assert text in record()["notices"]
    assert text in Path("out/index.html").read_text(encoding="utf-8")


def test_the_order_of_the_images_changes_nothing(run: Any, tree: Path) -> None:
    paths = ["photos/x.png", "photos/a/x.png", "photos/a/b/x.png"]
    assert run(*paths)[0] == 0
    first = {one["name"]: one["source"] for one in record()["images"]}
    assert list(first) == ["a/b/x", "a/x", "x"]
    assert run(*reversed(paths), "--out", "other")[0] == 0
    assert {one["name"]: one["source"] for one in record("other")["images"]} == first


def test_a_folder_whose_names_are_flat_goes_on_with_them(run: Any, tree: Path) -> None:
    assert run("photos/a/x.png")[0] == 0
    assert run("photos")[0] == 0
    assert [one["name"] for one in record()["images"]] == ["a/b/x", "photos/x", "x"]
    assert mask("x") == [1]


def test_a_folder_of_frames_makes_a_video(run: Any, tmp_path: Path) -> None:
    Path("walk").mkdir()
    for number, colour in enumerate(("red", "lime", "blue")):
        PIL.Image.new("RGB", (720, 500 + 40 * number), colour).save(f"walk/{number}.png")
    assert run("walk")[0] == 0
    assert not Path("out/videos").exists()
    assert run("walk", "--frame-rate", "3")[0] == 0
    with av.open("out/videos/walk.mp4") as container:
        frames = [one.to_ndarray(format="rgb24") for one in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 3
    assert {one.shape for one in frames} == {(500, 720, 3)}
    assert [int(one.mean((0, 1)).argmax()) for one in frames] == [0, 1, 2]


def test_a_video_runs_frame_by_frame(run: Any, tmp_path: Path) -> None:
    frames = numpy.zeros((6, 25, 33, 3), "uint8")
    for number, frame in enumerate(frames):
        frame[..., number % 3] = 255
    write_video(Path("clip.mp4"), frames, rate=5)
    status, said = run("clip.mp4", "--limit", "4")
    assert status == 0, said
    assert [mask(f"clip.mp4/{number:06d}") for number in range(4)] == [[1], [2], [3], [1]]
    assert run("clip.mp4")[0] == 0
    plain = record()
    assert [one["name"] for one in plain["images"]] == [f"clip.mp4/{n:06d}" for n in range(6)]
    assert "videos/clip.mp4" in plain["pages"]
    with av.open("out/videos/clip.mp4") as container:
        frames = [one.to_ndarray(format="rgb24") for one in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 5
    assert frames[0].shape == (26, 34, 3)
    assert [int(one.mean((0, 1)).argmax()) for one in frames] == [0, 1, 2, 0, 1, 2]
    assert "Nothing to do" in run("clip.mp4")[1]
    Path("out/videos/clip.mp4").unlink()
    assert "Nothing to do" in run("clip.mp4")[1]
    assert Path("out/videos/clip.mp4").is_file()
    assert not list(Path("out").rglob("*.part"))
