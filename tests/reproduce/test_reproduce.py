"""Published numbers of a toy recipe, measured on a miniature VOC from the command line."""

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
from miniatures import voc_name, write_voc
from ovsskit.cli.__main__ import main
from ovsskit.datasets.dataset import VOID
from ovsskit.recipe import registry
from ovsskit.recipe.build import load_recipe
from ovsskit.reproduce.options import changed_by

TESTS = Path(__file__).parent.parent
TOY = ("--plugin", str(TESTS / "toy_stages.py"))
COLOURS = numpy.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], "uint8")
WORDS = ["red", "green", "blue", *(f"thing {number}" for number in range(4, 21))]
MIOU = 100 * (5 / 7 + 3 / 5 + 4 / 6) / 3
"""Red is right in 5 blocks of 7, green in 3 of 5, blue in 4 of 6."""
Run = Callable[..., tuple[int, str, str]]


def scene(shown: list[list[int]], true: list[list[int]]) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return an image of colours 1 to 3 in blocks of pixels, and its true mask."""
    image, mask = (numpy.array(one).repeat(16, 0).repeat(16, 1) for one in (shown, true))
    return COLOURS[image - 1], mask


def recipe(name: str, *rows: str, base: str = "", words: str = "voc21") -> Path:
    """Write a toy recipe with published numbers."""
    path = Path(f"{name}.toml")
    text = f'extends = "{base}"\nname = "toy"\n' if base else (TESTS / "toy.toml").read_text()
    text = text.replace('name = "toy"', f'name = "{name}"')
    vocabulary = f"[vocabulary]\nnames = {json.dumps(WORDS)}\ndataset = '{words}'\n"
    path.write_text("\n".join([text, vocabulary, *rows]))
    return path


def row(value: float, dataset: str = "voc21", **more: str) -> str:
    given = {"split": "mini"} | more
    lines = [f"{key} = {text}" for key, text in given.items() if text.startswith("[")]
    lines += [f'{key} = "{text}"' for key, text in given.items() if not text.startswith("[")]
    head = f'[[published]]\ndataset = "{dataset}"\nvalue = {value}\nsource = "README"\n'
    return head + "\n".join(lines) + "\n"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write three images of VOC; of 16 blocks of pixels 12 are right, 3 wrong, and one is void."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    scenes = [
        scene([[1, 1], [2, 2]], [[1, 1], [2, 2]]),
        scene([[1, 1], [2, 3]], [[1, 2], [2, VOID]]),
        scene([[1, 1, 1, 3], [3, 3, 3, 3]], [[1, 1, 3, 3], [3, 3, 2, 3]]),
    ]
    folder = write_voc(tmp_path / "data", scenes, split="mini")
    for index, (image, _) in enumerate(scenes):  # without the traces of JPEG, every pixel counts
        path = folder / "JPEGImages" / f"{voc_name(index)}.jpg"
        PIL.Image.fromarray(image).save(path, format="png")
    return tmp_path / "data"


@pytest.fixture
def run(data: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command in the process of the test."""

    def ran(*arguments: object) -> tuple[int, str, str]:
        words = [str(one) for one in arguments]
        monkeypatch.setattr(
            sys, "argv", ["ovsskit", "reproduce", *words, "--root", str(data), *TOY]
        )
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capfd.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return ran


def record(folder: str = "toy-voc21-mini") -> dict[str, Any]:
    return json.loads(Path("ovsskit-reproduce", folder, "eval.json").read_text())


def test_a_number_within_the_tolerance(run: Run) -> None:
    status, out, err = run(recipe("toy", row(66.3)))
    assert status == 0, err
    assert record()["metrics"]["miou"] == pytest.approx(MIOU / 100)
    assert "note 1 of 1: toy on voc21" in err
    [line] = [one for one in out.splitlines() if one.startswith("toy")]
    low, high = (100 * end for end in record()["interval"]["miou"])
    words = f"toy voc21 mIoU 66.3 {MIOU:.2f} {low:.2f} to {high:.2f} -0.27 within"
    assert line.split() == words.split()


def test_a_number_outside_the_tolerance(run: Run) -> None:
    path = recipe("toy", row(60.0), row(66.0, certainty="second-hand"))
    status, out, _ = run(path)
    assert status == 1
    first, second = (one for one in out.splitlines() if one.startswith("toy"))
    assert first.split()[-2:] == ["+6.03", "outside"]
    assert second.split()[-2:] == ["within,", "second-hand"]
    assert run(path, "--tolerance", "7")[0] == 0
    assert run(path, "--tolerance", "0.01")[0] == 1


def test_numbers_that_differ_in_metric_or_value_share_an_evaluation(run: Run) -> None:
    accuracy = row(80.0, metric="pixel_accuracy")
    status, out, _ = run(recipe("toy", row(66.0), accuracy, row(80.0, metric="boundary_iou")))
    assert status == 1
    assert [one.name for one in Path("ovsskit-reproduce").iterdir()] == ["toy-voc21-mini"]
    [line] = [one for one in out.splitlines() if "pixel accuracy" in one]
    assert line.split()[-4:] == ["80.0", "80.00", "+0.00", "within"]  # no interval


def test_another_protocol_or_layout_has_an_evaluation_of_its_own(run: Run) -> None:
    rows = (row(66.0), row(66.0, protocol="tagclip"), row(66.0, layouts='["devkit"]'))
    assert run(recipe("toy", *rows))[0] == 0
    assert sorted(one.name for one in Path("ovsskit-reproduce").iterdir()) == [
        "toy-voc21-mini",
        "toy-voc21-mini-devkit",
        "toy-voc21-mini-tagclip",
    ]
    assert record("toy-voc21-mini-tagclip")["protocol"]["name"] == "tagclip"


def test_a_recipe_says_why_a_number_cannot_be_compared(run: Run) -> None:
    status, out, _ = run(recipe("toy", row(66.0, differs='["the texts are ours"]')))
    assert status == 3
    assert out.splitlines()[-2].split()[-4:] == ["+0.03", "not", "comparable", "(1)"]
    assert out.splitlines()[-1] == "(1) the texts are ours"


def test_with_a_limit_nothing_is_compared_and_the_same_command_goes_on(run: Run) -> None:
    path = recipe("toy", row(66.0))
    status, out, _ = run(path, "--limit", "1")
    assert status == 3
    assert "(1) 1 of the 3 images were measured\n" in out
    lines = Path("ovsskit-reproduce/toy-voc21-mini/images.jsonl")
    first = lines.read_text()
    assert run(path)[0] == 0
    assert lines.read_text().startswith(first)
    assert lines.read_text().count("\n") == 3
    assert run(path, "--limit", "1")[0] == 0  # all were measured before


def test_a_killed_reproduction_goes_on(run: Run, data: Path) -> None:
    path = recipe("toy", row(66.0))
    arguments = ("reproduce", str(path), "--root", str(data), "--batch", "1", *TOY)
    command = [sys.executable, "-m", "ovsskit", *arguments, "--set", "toy_colours.seconds=0.5"]
    killed = subprocess.run(command, env={**os.environ, "TOY_KILL_AT": voc_name(2)})
    assert killed.returncode < 0
    status, _, _ = run(path, "--set", "toy_colours.seconds=0.5")
    assert status == 3  # since the recipe was changed
    assert record()["images"]["counted"] == 3


def test_a_data_set_that_is_not_there_is_said_and_the_others_are_measured(
    run: Run, data: Path
) -> None:
    path = recipe("toy", row(66.0), row(50.0, "voc21", split=""), row(40.0, "voc20", split=""))
    status, out, _ = run(path)
    assert status == 0
    assert [one.split()[-2:] for one in out.splitlines()[1:4]] == [
        ["+0.03", "within"],
        ["measured", "(1)"],
        ["measured", "(2)"],
    ]
    assert "(1) the data set was not found" in out
    assert f"{data}" in out
    assert "ImageSets/Segmentation/val.txt" in out
    assert run(recipe("none", row(50.0, split="")))[0] == 3


def test_a_part_of_the_published_images_is_not_compared(run: Run, data: Path) -> None:
    lists = data / "VOCdevkit/VOC2012/ImageSets/Segmentation"
    (lists / "mini.txt").rename(lists / "val.txt")
    status, out, _ = run(recipe("toy", row(66.0, split="")))
    assert status == 3
    assert "(1) the split has 1449 images, and 3 are here\n" in out


def test_images_that_are_left_out_are_a_reason(run: Run, data: Path) -> None:
    mask = data / "VOCdevkit/VOC2012/SegmentationClass" / f"{voc_name(1)}.png"
    PIL.Image.new("L", (3, 3), 1).save(mask)
    status, out, err = run(recipe("toy", row(66.0)))
    assert status == 3
    assert f"left out {voc_name(1)}: The true mask is 3 x 3 pixels" in err
    assert "2 of the 3 images were measured, and 1 were left out\n" in out


def test_a_changed_recipe_is_not_compared(run: Run) -> None:
    status, out, _ = run(recipe("toy", row(66.0)), "--set", "toy_colours.fail_at=nothing")
    assert status == 3
    assert "(1) the recipe was changed: toy_colours.fail_at\n" in out


def test_files_that_a_recipe_needs_and_copies_of_weights_change_no_number(tmp_path: Path) -> None:
    (tmp_path / "answers.json").write_text("{}")
    (tmp_path / "weights.safetensors").touch()
    completing = [
        f"presence_from_file.file={tmp_path / 'answers.json'}",
        f"backbone.weights={tmp_path / 'weights.safetensors'}",
        "backbone.precision=fp16",
    ]
    changing = ["threshold.at=0.3", "backbone.weights=Salesforce/another", "vocabulary.names=[]"]
    stages = load_recipe("pnp_blip_released").plan.stages
    assert list(changed_by(completing, stages)) == []
    assert list(changed_by([*completing, *changing], stages)) == [
        "threshold.at",
        "backbone.weights",
        "vocabulary.names",
    ]


def test_variants_are_measured_if_they_are_asked_for(run: Run) -> None:
    path = recipe("toy", row(66.0))
    recipe("toy-voc20", row(66.0, "voc20"), base="toy.toml", words="voc20")
    status, out, _ = run(path, "--variants", path)
    assert status == 0
    assert [one.split()[:2] for one in out.splitlines()[1:]] == [
        ["toy", "voc21"],
        ["toy-voc20", "voc20"],
    ]


def test_json_holds_what_was_compared(run: Run) -> None:
    status, out, _ = run(recipe("toy", row(66.0)), "--json")
    assert status == 0
    [found] = json.loads(out)
    assert found["published"]["source"] == "README"
    assert found["measured"] == pytest.approx(MIOU)
    assert found["difference"] == pytest.approx(MIOU - 66)
    assert (found["outcome"], found["reasons"], found["tolerance"]) == ("within", [], 0.3)
    assert Path(found["folder"], "eval.json").is_file()


def test_quiet_prints_nothing(run: Run) -> None:
    assert run(recipe("toy", row(66.0)), "--quiet") == (0, "", "")


def test_all_problems_are_found_before_anything_runs(run: Run) -> None:
    first, second = recipe("first", row(66.0)), recipe("second", row(66.0))
    taken = Path("ovsskit-reproduce/second-voc21-mini")
    taken.mkdir(parents=True)
    (taken / "mine.txt").touch()
    status, _, err = run(first, second)
    assert status == 2
    assert "The folder holds files that belong to no evaluation." in err
    assert not Path("ovsskit-reproduce/first-voc21-mini/eval.json").exists()


def test_recipes_without_numbers_are_said(run: Run) -> None:
    path = recipe("toy")
    status, _, err = run(path)
    assert (status, "The recipe has no published numbers." in err) == (2, True)
    assert "Add some: [[published]]" in err
    recipe("other", row(66.0, "voc20"), base="toy.toml", words="voc20")
    assert "Add --variants: other have some." in run(path)[2]
    assert run(path, "--variants")[0] == 0


def test_a_folder_that_is_not_there_is_said(run: Run, data: Path) -> None:
    path = recipe("toy", row(66.0))
    data.rename("elsewhere")
    status, _, err = run(path)
    assert (status, "There is no such folder." in err) == (2, True)


def test_from_python(data: Path) -> None:
    registry.load_plugin(TESTS / "toy_stages.py")
    [found] = ovsskit.run_reproduce(recipe("toy", row(66.0)), root=data, out="out")
    assert found.outcome == "within"
    assert found.measured == pytest.approx(MIOU)
    assert found.folder == Path("out/toy-voc21-mini")
