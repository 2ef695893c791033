"""An evaluation from the command line: what it counts, keeps, says, and goes on from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pytest

import ovsskit
from ovsskit.cli.__main__ import main
from ovsskit.recipe import registry

TESTS = Path(__file__).parent.parent
TOY = ("--plugin", str(TESTS / "toy_stages.py"))
COLOURS = numpy.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], "uint8")
CLASSES = "1 red\n2 green\n3 blue\n"
Run = Callable[..., tuple[int, str, str]]


def paint(folder: Path, name: str, shown: list[list[int]], true: list[list[int]]) -> None:
    """Write an image of colours 1 to 3, and its true mask, which may hold other numbers."""
    for kind in ("photos", "truth"):
        (folder / kind).mkdir(exist_ok=True)
    pixels = COLOURS[numpy.array(shown) - 1].repeat(4, 0).repeat(4, 1)
    PIL.Image.fromarray(pixels).save(folder / "photos" / f"{name}.png")
    numbers = numpy.array(true, "uint8").repeat(4, 0).repeat(4, 1)
    PIL.Image.fromarray(numbers).save(folder / "truth" / f"{name}.png")


@pytest.fixture
def scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Paint three images; of 16 blocks of 16 pixels 12 are right, 3 wrong, and one is void."""
    monkeypatch.chdir(tmp_path)
    paint(tmp_path, "a", [[1, 1], [2, 2]], [[1, 1], [2, 2]])
    paint(tmp_path, "b", [[1, 1], [2, 3]], [[1, 2], [2, 255]])
    paint(tmp_path, "c", [[1, 1, 1, 3], [3, 3, 3, 3]], [[1, 1, 3, 3], [3, 3, 2, 3]])
    (tmp_path / "classes.txt").write_text(CLASSES)
    return tmp_path


@pytest.fixture
def run(scenes: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in the process of the test."""
    monkeypatch.setenv("COLUMNS", "200")

    def ran(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ovsskit", *arguments, *TOY])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capfd.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return ran


def evaluation(*more: str, truth: str = "truth") -> tuple[str, ...]:
    recipe = ("eval", str(TESTS / "toy.toml"), "photos", "--truth", truth)
    return (*recipe, "--truth-classes", "classes.txt", "--out", "out", *more)


def record() -> dict[str, Any]:
    return json.loads(Path("out/eval.json").read_text())


def iou_by_hand() -> dict[str, float]:
    """Red is right in 5 blocks of 7, green in 3 of 5, blue in 4 of 6."""
    return {"red": 5 / 7, "green": 3 / 5, "blue": 4 / 6}


def test_metrics_are_those_of_a_count_by_hand(run: Run) -> None:
    status, out, err = run(*evaluation())
    assert status == 0, err
    found = record()
    by_class = {one["name"]: one["iou"] for one in found["classes"]}
    assert by_class == pytest.approx(iou_by_hand())
    assert found["metrics"]["miou"] == pytest.approx(sum(iou_by_hand().values()) / 3)
    assert found["metrics"]["pixel_accuracy"] == pytest.approx(12 / 15)
    assert found["images"] | {"truth": ""} == {"counted": 3, "left_out": 0, "truth": ""}
    assert f"mIoU                    {100 * found['metrics']['miou']:.2f}" in out


def test_the_record_carries_what_the_number_depends_on(run: Run) -> None:
    run(*evaluation("--set", "toy_colours.seconds=0", "--protocol", "tagclip"))
    found = record()
    assert found["dataset"]["classes"] == ["red", "green", "blue"]
    assert found["protocol"]["name"] == "tagclip"
    assert found["recipe"]["name"] == "toy"
    assert found["overrides"] == ["toy_colours.seconds=0"]
    assert [one["use"] for one in found["identity"]["predictions"]["stages"]] == [
        "toy_colours",
        "toy_softmax",
        "toy_labels",
    ]
    assert found["versions"].keys() >= {"python", "torch"}
    assert found["costs"]["seconds"] > 0
    assert found["costs"]["peak_memory"] > 0


def test_json_prints_the_record(run: Run) -> None:
    status, out, _ = run(*evaluation("--json"))
    assert status == 0
    assert json.loads(out)["metrics"] == record()["metrics"]


def test_a_killed_evaluation_goes_on_and_counts_every_image_once(scenes: Path) -> None:
    slowly = ("--batch", "1", "--set", "toy_colours.seconds=0.5", "--quiet")
    command = [sys.executable, "-m", "ovsskit", *evaluation(*slowly), *TOY]
    killed = subprocess.run(command, env={**os.environ, "TOY_KILL_AT": "c"})
    assert killed.returncode < 0
    lines = Path("out/images.jsonl")
    before = lines.read_text() if lines.exists() else ""  # the image before may be in flight
    assert before.count("\n") < 3
    lines.write_text(f'{before}{{"index":2,"na')
    assert subprocess.run(command).returncode == 0
    indexes = [json.loads(line)["index"] for line in lines.read_text().splitlines()]
    assert lines.read_text().startswith(before)
    assert sorted(indexes) == [0, 1, 2]
    assert record()["images"]["counted"] == 3
    by_class = {one["name"]: one["iou"] for one in record()["classes"]}
    assert by_class == pytest.approx(iou_by_hand())


def test_the_limit_can_be_raised_later(run: Run) -> None:
    run(*evaluation("--limit", "1"))
    first = record()
    assert first["images"]["counted"] == 1
    run(*evaluation())
    assert record()["images"]["counted"] == 3
    assert record()["images"]["truth"] != first["images"]["truth"]


def test_only_the_images_that_are_named_are_measured(run: Run) -> None:
    recipe = ("eval", str(TESTS / "toy.toml"), "photos/a.png", "photos/c*")
    truth = ("--truth", "truth", "--truth-classes", "classes.txt", "--out", "out")
    assert run(*recipe, *truth)[0] == 0
    assert record()["images"]["counted"] == record()["dataset"]["images"] == 2


def test_another_protocol_needs_another_folder(run: Run) -> None:
    run(*evaluation())
    status, _, err = run(*evaluation("--protocol", "pnp_ovss"))
    assert status == 2
    assert "The folder holds another evaluation." in err


def test_an_image_that_cannot_be_counted_is_left_out_and_said(run: Run, scenes: Path) -> None:
    PIL.Image.new("L", (3, 3), 1).save(scenes / "truth" / "b.png")
    (scenes / "photos" / "c.png").write_bytes(b"no image")
    status, out, err = run(*evaluation())
    assert status == 1
    assert "1 of 3 counted, 2 left out" in out
    assert "left out b: The true mask is 3 x 3 pixels, and the image 8 x 8." in err
    assert "left out c: This is not an image of a known format." in err
    paint(scenes, "b", [[1, 1], [2, 3]], [[1, 2], [2, 255]])
    paint(scenes, "c", [[1, 1, 1, 3], [3, 3, 3, 3]], [[1, 1, 3, 3], [3, 3, 2, 3]])
    assert run(*evaluation())[0] == 0
    assert record()["images"]["counted"] == 3


def test_labels_outside_the_list_leave_an_image_out(run: Run, scenes: Path) -> None:
    paint(scenes, "a", [[1, 1], [2, 2]], [[1, 1], [2, 9]])
    status, _, err = run(*evaluation())
    assert status == 1
    assert "The true mask holds numbers of no class: 9." in err


def test_masks_of_a_finished_run_give_the_same_numbers(run: Run) -> None:
    run(*evaluation())
    direct = record()
    toy = (str(TESTS / "toy.toml"), "photos", "--classes", "red, green, blue")
    run("run", *toy, "--out", "found")
    masks = ("--masks", "found", "--truth", "truth", "--truth-classes", "classes.txt")
    status, _, _ = run("eval", *masks, "--out", "from-masks")
    assert status == 0
    saved = json.loads(Path("from-masks/eval.json").read_text())
    assert saved["classes"] == direct["classes"]
    assert saved["metrics"] | {"calibration_error": None} == direct["metrics"] | {
        "calibration_error": None
    }
    assert saved["images"] == direct["images"]
    assert saved["name"] == "toy"


def test_images_that_the_run_has_not_done_count_nowhere_and_that_is_said(run: Run) -> None:
    toy = (str(TESTS / "toy.toml"), "photos", "--classes", "red, green, blue")
    run("run", *toy, "--out", "found", "--limit", "2")
    masks = ("--masks", "found", "--truth", "truth", "--truth-classes", "classes.txt")
    status, out, err = run("eval", "", "photos", *masks, "--out", "from-masks")
    assert status == 0
    assert "1 of the 3 images with true masks are not in the run, and count nowhere" in err
    assert "2 of 3 counted" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("eval", "toy.toml"), "Nothing says where the true masks are."),
        (("eval",), "Nothing says which recipe to measure."),
        (("eval", "toy.toml", "--dataset", "voc21"), "Nothing says where the data set is."),
        (("eval", "toy.toml", "--truth", "truth"), "Nothing says which images the masks"),
        (
            ("eval", "toy.toml", "--truth", "truth", "--dataset", "voc21"),
            "True masks are named twice: by --dataset and by --truth.",
        ),
        (
            ("eval", "toy.toml", "--masks", "found"),
            "Both a recipe and the masks of a finished run are named.",
        ),
        (("eval", "--masks", "photos"), "The folder holds no finished run"),
        (("eval", "toy.toml", "--protocol", "voc"), "There is no protocol `voc`."),
    ],
)
def test_what_is_missing_or_too_much_is_said(
    run: Run, arguments: tuple[str, ...], message: str
) -> None:
    known = [str(TESTS / one) if one == "toy.toml" else one for one in arguments]
    status, _, err = run(*known)
    assert status == 2
    assert message in err
    assert "Traceback" not in err


def test_classes_that_are_not_looked_for_count_as_missed(run: Run) -> None:
    status, _, err = run(*evaluation("--classes", "red, green"))
    assert status == 0
    assert "1 classes of truth" not in err
    assert "are not looked for, and their pixels count as missed: blue" in err
    assert record()["not_looked_for"] == ["blue"]
    assert {one["name"]: one["iou"] for one in record()["classes"]}["blue"] == 0


def test_an_evaluation_from_python_returns_the_record(scenes: Path) -> None:
    registry.load_plugin(TESTS / "toy_stages.py")
    found = ovsskit.run_eval(
        TESTS / "toy.toml", images="photos", truth="truth", truth_classes="classes.txt", out="out"
    )
    assert found["metrics"] == record()["metrics"]


def test_classes_are_counted_coarsely_and_looked_for_finely(run: Run) -> None:
    """Red and blue together are right in 10 blocks of 12, and green in 3 of 5 as before."""
    Path("kinds.txt").write_text("purple: red, blue\n")
    status, out, err = run(*evaluation("--coarse", "kinds.txt"))
    assert status == 0, err
    found = record()
    assert found["dataset"]["classes"] == ["purple", "green"]
    assert found["dataset"]["files"].keys() == {"classes.txt", "kinds.txt"}
    assert found["identity"]["numbers"] == {"1": 0, "2": 1, "3": 0}
    by_class = {one["name"]: one["iou"] for one in found["classes"]}
    assert by_class == pytest.approx({"purple": 10 / 12, "green": 3 / 5})
    assert "photos, 2 coarse classes" in out


def test_masks_of_a_run_are_counted_coarsely(run: Run) -> None:
    toy = (str(TESTS / "toy.toml"), "photos", "--classes", "red, green, blue")
    run("run", *toy, "--out", "found")
    Path("kinds.txt").write_text("purple: red, blue\n")
    truth = ("--truth", "truth", "--truth-classes", "classes.txt", "--coarse", "kinds.txt")
    status, _, err = run("eval", "--masks", "found", *truth, "--out", "out")
    assert status == 0, err
    assert {one["name"]: one["iou"] for one in record()["classes"]} == pytest.approx(
        {"purple": 10 / 12, "green": 3 / 5}
    )


def test_a_bad_mapping_is_refused_before_anything_runs(run: Run) -> None:
    Path("kinds.txt").write_text("purple: red, yellow\n")
    status, _, err = run(*evaluation("--coarse", "kinds.txt"))
    assert status == 2
    assert "photos has no class `yellow`." in err
    assert "Traceback" not in err
    assert not Path("out").exists()
