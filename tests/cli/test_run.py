from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pytest
from run_records import read_run

from ovsskit.cli.__main__ import main

TESTS = Path(__file__).parent.parent
LONG = 600
"""Seconds after which a program hangs, however much else the machine has to do."""
TOY = ("--plugin", str(TESTS / "toy_stages.py"), "--classes", "red, green, blue")


@dataclass
class Ran:
    """Hold how a command ended."""

    status: int
    out: str
    error: str


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def ran(
        *arguments: str, toy: tuple[str, ...] = TOY, recipe: str = str(TESTS / "toy.toml")
    ) -> Ran:
        monkeypatch.setattr(sys, "argv", ["ovsskit", "run", recipe, *arguments, *toy])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capfd.readouterr()
        return Ran(int(stopped.value.code or 0), captured.out, captured.err)

    return ran


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, colour in enumerate(("red", "lime", "blue", "white")):
        PIL.Image.new("RGB", (20 + index, 10), colour).save(folder / f"{index}.png")
    return folder


def record(out: Path) -> dict[str, Any]:
    return read_run(out)


def test_a_run_leaves_masks_overlays_and_a_gallery(run: Run, photos: Path, tmp_path: Path) -> None:
    ended = run("photos", "--out", "out", "--save-scores", "--save-confidence", "--profile")
    assert ended.status == 0, ended.error
    assert "4 done, 0 failed" in ended.out
    out = tmp_path / "out"
    assert {"toy_colours", "index.html"} <= {*ended.out.replace("/", " ").split()}
    for index, number in enumerate((1, 2, 3)):
        mask = numpy.asarray(PIL.Image.open(out / "masks" / f"{index}.png"))
        assert mask.shape == (10, 20 + index)
        assert (mask == number).all()
    assert len(list((out / "overlays").iterdir())) == len(list((out / "scores").iterdir())) == 4
    assert [one["name"] for one in json.loads((out / "classes.json").read_text())] == [
        "background",
        "red",
        "green",
        "blue",
    ]
    plain = record(out)
    assert plain["counts"] == {"done": 4, "failed": 0, "pending": 0}
    assert plain["device"] in ("cpu", "cuda:0", "mps")
    assert plain["costs"]["stages"].keys() == {"toy_colours", "toy_softmax", "toy_labels"}
    assert plain["versions"]["torch"]
    assert [one["saved"] for one in plain["images"][:2]] == [
        ["confidence", "maps", "scores"],
        ["confidence", "scores"],
    ]
    assert sorted(path.name for path in (out / "maps" / "0").iterdir())[0] == "01-toy_colours-1.png"


def test_a_finished_run_does_nothing(run: Run, photos: Path, tmp_path: Path) -> None:
    run("photos")
    folder = tmp_path / "ovsskit-out" / "toy"
    before = {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }
    again = run("photos")
    assert again.status == 0
    assert "Nothing to do: all 4 images are already done." in again.out
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_images_may_be_added_and_limited(run: Run, photos: Path, tmp_path: Path) -> None:
    assert "2 done" in run("photos", "--limit", "2").out
    assert "4 done" in run("photos").out
    assert [one["name"] for one in record(tmp_path / "ovsskit-out" / "toy")["images"]] == [
        "0",
        "1",
        "2",
        "3",
    ]


def test_a_broken_image_is_reported_and_the_others_are_done(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    (photos / "1.png").write_bytes(b"")
    ended = run("photos")
    assert ended.status == 1
    assert "1.png: The file is empty." in ended.out
    assert "3 done, 1 failed" in ended.out
    PIL.Image.new("RGB", (5, 5), "red").save(photos / "1.png")
    assert run("photos").status == 0
    assert record(tmp_path / "ovsskit-out" / "toy")["counts"] == {
        "done": 4,
        "failed": 0,
        "pending": 0,
    }


def test_an_image_that_a_stage_fails_at_does_not_stop_its_batch_mates(
    run: Run, photos: Path
) -> None:
    ended = run("photos", "--batch", "4", "--explain", "none", "--set", 'toy_colours.fail_at="2"')
    assert ended.status == 1
    assert "2.png: ZeroDivisionError: this image divides by zero" in ended.out
    assert "3 done, 1 failed" in ended.out


def test_a_recipe_that_always_fails_stops_soon(run: Run, photos: Path, tmp_path: Path) -> None:
    for index in range(4, 9):
        PIL.Image.new("RGB", (5, 5)).save(photos / f"{index}.png")
    ended = run("photos", "--set", 'toy_colours.fail_at="all"')
    assert ended.status == 1
    assert "ovsskit failed: ZeroDivisionError: this image divides by zero" in ended.error
    assert "Traceback" not in ended.error
    counts = record(tmp_path / "ovsskit-out" / "toy")["counts"]
    assert counts == {"done": 0, "failed": 4, "pending": 5}


def test_equal_names_do_not_overwrite_each_other(run: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    PIL.Image.new("RGB", (3, 3), "blue").save(tmp_path / "more" / "0.png")
    run("photos/0.png", "more/0.png", "--out", "out")
    masks = tmp_path / "out" / "masks"
    found = {path.relative_to(masks).as_posix() for path in masks.rglob("*.png")}
    assert found == {"photos/0.png", "more/0.png"}


def test_json_is_all_there_is_on_standard_output(run: Run, photos: Path) -> None:
    (photos / "1.png").write_bytes(b"")
    ended = run("photos", "--json")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert ended.status == 1
    assert {line["name"]: line["state"] for line in lines[:-1]} == {
        "0": "done",
        "1": "failed",
        "2": "done",
        "3": "done",
    }
    assert (lines[-1]["summary"]["done"], lines[-1]["summary"]["failed"]) == (3, 1)


def test_quiet_prints_nothing_but_errors(run: Run, photos: Path) -> None:
    assert run("photos", "--quiet") == Ran(0, "", "")


def test_what_a_stage_has_to_say_is_shown_once_and_recorded(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    ended = run("photos", "--out", "out", toy=(*TOY[:2], "--classes", "red"))
    assert ended.error == "note one class only: every pixel gets it\n"
    assert record(tmp_path / "out")["notices"] == ["one class only: every pixel gets it"]


def test_explained_images(run: Run, photos: Path, tmp_path: Path) -> None:
    run("photos", "--out", "out", "--explain", "1.png", "--explain", "3")
    assert {path.name for path in (tmp_path / "out" / "maps").iterdir()} == {"1", "3"}
    run("photos", "--out", "out", "--explain", "all")
    assert {path.name for path in (tmp_path / "out" / "maps").iterdir()} == {"0", "1", "2", "3"}


def test_sample_scenes_are_run_without_images(run: Run, tmp_path: Path) -> None:
    toy = (*TOY[:2], "--classes", "car, dog")
    ended = run("--limit", "2", toy=toy)
    assert ended.status == 0, ended.error
    assert "against the true masks of the sample scenes" in ended.out
    assert 0 <= record(tmp_path / "ovsskit-out" / "toy")["sample_miou"] <= 1
    assert "against the true masks of the sample scenes" in run("--limit", "2", toy=toy).out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--out", "out", "--set", "toy_colours.seconds=0.001"),
            "toy_colours.seconds: 0.0 there, 0.001 now",
        ),
        (("--out", "file/out"), "OV501"),
        (("--out", "photos"), "belong to no run"),
        (("--device", "cuda:7"), "There is no device `cuda:7` here"),
        (("--batch", "none"), "--batch is none"),
        (("nowhere.jpg",), "no such file or folder"),
        (("--explain", "4"), "No image is called `4`"),
        (("--classes-file", "classes.txt"), "Classes are named twice"),
        (("--set", "toy_colours.second=1"), "Did you mean `seconds`"),
        (("--plugin", "nowhere.py"), "OV502"),
        (("--limit", "0"), "--limit"),
        (("--sise", "3"), "No such option"),
    ],
)
def test_bad_input_ends_before_anything_ran(
    run: Run, photos: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "file").write_text("")
    if "out" in arguments:
        run("photos", "--out", "out")
    before = sorted(tmp_path.rglob("*"))
    ended = run("photos", *arguments)
    assert (ended.status, ended.out) == (2, "")
    assert message in ended.error
    assert "Traceback" not in ended.error
    assert sorted(path for path in tmp_path.rglob("*") if path.name != ".lock") == [
        path for path in before if path.name != ".lock"
    ]


def test_weights_that_cannot_be_had(
    run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    ended = run(
        "photos",
        "--set",
        "backbone.weights=nobody/nothing",
        toy=("--classes", "dog"),
        recipe="pnp_blip",
    )
    assert (ended.status, ended.out) == (2, "")
    assert ended.error == (
        "OV401  missing weights\n"
        "  `nobody/nothing` is not on this machine, and HF_HUB_OFFLINE prevents "
        "requests to the hub.\n"
        "  Unset HF_HUB_OFFLINE to fetch the weights. Or fetch them where there is a network, and "
        "name their folder as `weights`.\n"
    )


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("", "The list of classes is empty"),
        ("dog,,cat", "empty name"),
        ("dog, Dog", "Named more than once: dog"),
        ("background", "no class to look for"),
    ],
)
def test_bad_classes(run: Run, photos: Path, names: str, message: str) -> None:
    ended = run("photos", toy=(*TOY[:2], "--classes", names))
    assert (ended.status, message in ended.error) == (2, True), ended.error


@pytest.mark.parametrize(
    "names",
    [
        "dog",
        "ice-cream van, Größe (klein), 犬, a.b: c/d",
        ", ".join(f"class {index}" for index in range(300)),
    ],
)
def test_odd_classes_are_fine(run: Run, photos: Path, names: str) -> None:
    ended = run("photos", toy=(*TOY[:2], "--classes", names))
    assert ended.status == 0, ended.error


def test_classes_from_a_file(run: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("red\n\n green \n", encoding="utf-8")
    assert (
        run("photos", "--out", "out", toy=(*TOY[:2], "--classes-file", "classes.txt")).status == 0
    )
    assert [
        one["name"] for one in json.loads((tmp_path / "out" / "classes.json").read_text())[1:]
    ] == ["red", "green"]


def test_a_recipe_must_write_labels(run: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "short.toml").write_text('[[stage]]\nuse = "toy_colours"\n')
    ended = run("photos", recipe="short.toml")
    assert ended.status == 2
    assert "No stage writes `labels`" in ended.error


def test_a_full_disk_stops_the_run_which_then_goes_on(
    run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.replace

    def full(source: Any, target: Any) -> None:
        if Path(target).parent.name == "overlays" and Path(target).stem == "2":
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(source, target)

    monkeypatch.setattr("os.replace", full)
    ended = run("photos", "--out", "out", "--batch", "1")
    assert ended.status == 1
    assert "The disk is full" in ended.error
    assert not list((tmp_path / "out").rglob("*.part"))
    assert record(tmp_path / "out")["counts"]["done"] >= 2
    monkeypatch.setattr("os.replace", rename)
    assert run("photos", "--out", "out").status == 0
    assert record(tmp_path / "out")["counts"]["done"] == 4


def start(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "ovsskit",
        "run",
        str(TESTS / "toy.toml"),
        "photos",
        "--out",
        "out",
        *TOY,
        *arguments,
    ]
    return subprocess.Popen(
        command,
        cwd=tmp_path,
        env=os.environ | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_killed_run_loses_only_what_was_in_flight(run: Run, photos: Path, tmp_path: Path) -> None:
    killed = start(tmp_path, "--batch", "1", "--set", "toy_colours.seconds=0.2", TOY_KILL_AT="3")
    killed.communicate(timeout=LONG)
    assert killed.returncode == -signal.SIGKILL
    finished = (tmp_path / "out" / "finished.jsonl").read_text().splitlines()
    assert len(finished) >= 2
    ended = run("photos", "--out", "out", "--json", "--set", "toy_colours.seconds=0.2")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert ended.status == 0
    assert {line["name"] for line in lines[:-1]} == {"0", "1", "2", "3"} - {
        json.loads(line)["name"] for line in finished
    }
    assert record(tmp_path / "out")["counts"] == {"done": 4, "failed": 0, "pending": 0}


@pytest.mark.parametrize("signal", ["TOY_STOP_AT", "TOY_END_AT"])
def test_ctrl_c_and_sigterm_say_how_to_go_on(
    run: Run, photos: Path, tmp_path: Path, signal: str
) -> None:
    """The signal comes from the stage itself: a run that is not waited for may be over before it
    comes from outside.
    """
    stopped = start(tmp_path, "--batch", "1", "--json", **{signal: "2"})
    out, error = stopped.communicate(timeout=LONG)
    assert stopped.returncode == 130
    assert error == "stopped; run the same command to resume\n"
    assert {json.loads(line)["name"] for line in out.splitlines()} == {"0", "1"}
    assert record(tmp_path / "out")["counts"] == {"done": 2, "failed": 0, "pending": 2}
    assert run("photos", "--out", "out").status == 0
    assert record(tmp_path / "out")["counts"]["done"] == 4
