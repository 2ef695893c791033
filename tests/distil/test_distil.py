"""`ovsskit distil` from the command line to the folder that it leaves."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

import ovsskit
from ovsskit.cli.__main__ import main
from ovsskit.distil.teaching import Teaching
from ovsskit.embedded import CLASSES, sample_scenes
from ovsskit.engine.images import read_image

QUICK = (
    "student=segformer-tiny",
    "image_size=32",
    "updates=4",
    "batch=2",
    "held_out=0.3",
    "save_every=2",
)
Distil = Callable[..., tuple[int, str, str]]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for scene in sample_scenes()[:4]:
        shutil.copy(scene.image, folder)
    return folder


@pytest.fixture
def ovsskit_run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ovsskit", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capfd.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def distil(photos: Path, tmp_path: Path, ovsskit_run: Distil) -> Distil:
    def run(out: str = "out", *more: str, images: Path = photos) -> tuple[int, str, str]:
        sets = [part for one in QUICK for part in ("--set", f"distil.{one}")]
        where = ["--images", str(images), "--out", str(tmp_path / out)]
        return ovsskit_run("distil", "ifseg_tiny", *where, *sets, *more)

    return run


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "distil.json").read_text())
    return record


def test_the_folder_holds_a_student_that_recipes_and_transformers_read(
    distil: Distil, ovsskit_run: Distil, photos: Path, tmp_path: Path
) -> None:
    status, out, error = distil()
    assert status == 0, error
    folder = tmp_path / "out"
    assert {one.name for one in folder.iterdir() if not one.name.startswith(".")} == {
        "recipe.toml",
        "model.safetensors",
        "config.json",
        "distil.json",
        "teacher",
    }
    assert "mIoU, student by teacher" in out
    record = record_of(folder)
    assert len(record["progress"]["losses"]) == 4
    assert set(record["progress"]["scores"]) == {"student by teacher"}
    image = read_image(sorted(photos.iterdir())[0])
    pipeline = ovsskit.load(folder / "recipe.toml")
    assert pipeline.plan.vocabulary.labels == ("background", *CLASSES)
    assert pipeline(image.pixels.numpy()).ids.shape == image.size
    network = transformers.SegformerForSemanticSegmentation.from_pretrained(folder)
    backbone: Any = pipeline.models["backbone"]
    with torch.no_grad():
        expected = network.eval()(backbone.pixels(image)[None]).logits[0]
    torch.testing.assert_close(backbone.segment_classes([image])[0], expected)
    assert list(network.config.id2label.values()) == list(backbone.class_names)
    status, _, error = ovsskit_run(
        "run", str(folder / "recipe.toml"), str(photos), "--out", str(tmp_path / "run")
    )
    assert status == 0, error


def test_a_student_that_was_stopped_ends_as_one_that_was_not(
    distil: Distil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert distil("whole")[0] == 0
    step = Teaching.step

    def stop(teaching: Teaching, number: int) -> float:
        if number == 3:
            raise KeyboardInterrupt
        return step(teaching, number)

    with monkeypatch.context() as patched:
        patched.setattr(Teaching, "step", stop)
        status, _, error = distil()
    assert status == 130
    assert "run the same command to go on" in error
    assert not (tmp_path / "out" / "model.safetensors").exists()
    assert "going on after step 3" in distil()[2]
    whole, stopped = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "out"))
    assert all(torch.equal(tensor, stopped[name]) for name, tensor in whole.items())
    assert (
        record_of(tmp_path / "whole")["progress"]["losses"]
        == (record_of(tmp_path / "out")["progress"]["losses"])
    )
    assert not (tmp_path / "out" / "state.safetensors").exists()


def test_what_is_done_is_not_done_again_until_images_change(
    distil: Distil, photos: Path, tmp_path: Path
) -> None:
    assert distil()[0] == 0
    model = tmp_path / "out" / "model.safetensors"
    before = model.stat().st_mtime_ns
    status, out, _ = distil()
    assert status == 0
    assert "Nothing to do: the student was taught before." in out
    assert model.stat().st_mtime_ns == before
    shutil.copy(sample_scenes()[6].image, photos)
    status, _, error = distil()
    assert status == 0
    assert "other images or labels than before" in error
    assert model.stat().st_mtime_ns != before
    taught = {name: tensor.clone() for name, tensor in load_file(model).items()}
    model.write_bytes(model.read_bytes()[:-1])
    status, _, error = distil()
    assert status == 0
    assert "the weights are missing or changed" in error
    assert all(torch.equal(tensor, taught[name]) for name, tensor in load_file(model).items())


def test_true_masks_judge_teacher_and_student(distil: Distil, tmp_path: Path) -> None:
    truth = tmp_path / "truth"
    truth.mkdir()
    for scene in sample_scenes()[:4]:
        shutil.copy(scene.mask, truth / f"{scene.image.stem}.png")
    words = tmp_path / "words.txt"
    words.write_text("\n".join(f"{number} {word}" for number, word in enumerate(CLASSES, 1)))
    more = ("--truth", str(truth), "--truth-classes", str(words), "--ignore", "0")
    status, out, error = distil("out", *more)
    assert status == 0, error
    scores = record_of(tmp_path / "out")["progress"]["scores"]
    assert set(scores) == {"student by teacher", "student by truth", "teacher by truth"}
    assert all(0 <= score <= 1 for score in scores.values())
    assert "mIoU, teacher by truth" in out


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--student", "segformer-b9"), "distil.student"),
        (("--set", "distil.image_size=8"), "distil.image_size"),
        (("--classes", ""), "The list of classes is empty."),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_run(
    distil: Distil, tmp_path: Path, more: tuple[str, ...], told: str
) -> None:
    status, out, error = distil("out", *more)
    assert status == 2
    assert told in error + out
    assert not (tmp_path / "out").exists()


def test_images_must_be_there(distil: Distil, ovsskit_run: Distil, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    status, _, error = distil(images=empty)
    assert status == 2
    assert "no image" in error.lower()
    status, _, error = ovsskit_run("distil", "ifseg_tiny")
    assert status == 2
    assert "--images DIR" in error


def test_a_student_of_another_vocabulary_is_refused(
    distil: Distil, ovsskit_run: Distil, tmp_path: Path, photos: Path
) -> None:
    assert distil()[0] == 0
    recipe = str(tmp_path / "out" / "recipe.toml")
    status, _, error = ovsskit_run("run", recipe, str(photos), "--classes", "dog, zebra")
    assert status == 2
    assert "The model was not trained for `zebra`." in error
    assert "It knows background, dog, cat" in error
    status, _, error = distil("out", "--set", "distil.rate=0.001")
    assert status == 2
    assert "The folder holds another student." in error


def test_weights_that_run_code_are_not_read(distil: Distil, tmp_path: Path) -> None:
    start = tmp_path / "start"
    start.mkdir()
    torch.save({"encoder": print}, start / "pytorch_model.bin")
    status, _, error = distil("out", "--set", f"distil.start={start}")
    assert status == 2
    assert "more than tensors" in error
