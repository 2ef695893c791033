"""`ovsskit distil` from the command line to the folder that it leaves."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
import transformers
from deeplab_twin import SHAPE
from safetensors.torch import load_file

import ovsskit
from ovsskit.backbones.deeplab import _sizes as deeplab
from ovsskit.backbones.deeplab._checkpoint import DeepLabShape
from ovsskit.backbones.vit._start import read_start
from ovsskit.cli.__main__ import main
from ovsskit.distil.labelled import split
from ovsskit.distil.losses import IGNORED
from ovsskit.distil.onnx_file import write_onnx
from ovsskit.distil.teaching import Teaching
from ovsskit.embedded import CLASSES, sample_scenes
from ovsskit.engine.images import read_image
from ovsskit.run.finished import FinishedRun

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
    assert "run the same command to resume" in error
    assert not (tmp_path / "out" / "model.safetensors").exists()
    assert "resuming after step 3" in distil()[2]
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
    assert "Nothing to do: the student has already been taught." in out
    assert model.stat().st_mtime_ns == before
    shutil.copy(sample_scenes()[6].image, photos)
    status, _, error = distil()
    assert status == 0
    assert "the images or labels have changed" in error
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
        (("--set", "distil.feature_weight=1.0"), 'labels = "each_step"'),
        (
            ("--set", "distil.feature_weight=1.0", "--set", "distil.labels=each_step"),
            "whose classifier are texts",
        ),
        (("--classes", ""), "The list of classes is empty."),
        (("--student", "vit"), "vit has the shape of its `start`, which is empty."),
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


def test_a_student_starts_from_the_packaged_clip(distil: Distil, tmp_path: Path) -> None:
    """With a rate of almost nothing it ends as it started, but for the head."""
    more = ("--student", "vit", "--set", "distil.start=embedded", "--set", "distil.rate=1e-12")
    status, _, error = distil("out", *more)
    assert status == 0, error
    taught = load_file(tmp_path / "out" / "model.safetensors")
    _, started = read_start("embedded")
    for name, tensor in started.items():
        torch.testing.assert_close(taught[f"encoder.{name}"], tensor, atol=1e-6, rtol=0)
    assert set(taught) - {f"encoder.{name}" for name in started} == {
        "classifier.weight",
        "classifier.bias",
    }
    file = write_onnx(tmp_path / "out", tmp_path / "onnx")
    assert json.loads(file.with_suffix(".json").read_text())["classes"] == ["background", *CLASSES]


def test_a_start_that_does_not_fit_is_said(distil: Distil) -> None:
    more = ("--student", "vit", "--set", "distil.start=embedded:ofa")
    status, _, error = distil("out", *more)
    assert status == 2
    assert "A vision transformer cannot start from these weights." in error
    assert "Give a vision transformer of CLIP, DINO or DINOv2" in error


KILLED = """
import os, signal, sys
from ovsskit.cli.__main__ import main
from ovsskit.distil.teaching import Teaching
step = Teaching.step
def stop(teaching, number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(teaching, number)
Teaching.step = stop
sys.argv = ["ovsskit", *sys.argv[1:]]
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize(
    "sets",
    [
        ("student=deeplab-tiny", "optimiser=adamw"),
        ("student=deeplab-tiny", "optimiser=sgd"),
        ("student=vit", "start=embedded"),
    ],
)
def test_a_student_that_was_killed_ends_as_one_that_was_not(
    distil: Distil, photos: Path, tmp_path: Path, sets: tuple[str, ...]
) -> None:
    more = [part for one in sets for part in ("--set", f"distil.{one}")]
    assert distil("whole", *more)[0] == 0
    quick = [part for one in QUICK for part in ("--set", f"distil.{one}")]
    where = ["--images", str(photos), "--out", str(tmp_path / "out")]
    command = [sys.executable, "-c", KILLED, "distil", "ifseg_tiny", *where, *quick, *more]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    assert "resuming after step 2" in distil("out", *more)[2]
    whole, killed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "out"))
    assert all(torch.equal(tensor, killed[name]) for name, tensor in whole.items())


@pytest.fixture
def small_maskclip_plus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the student of this name have few numbers."""
    small = DeepLabShape.model_validate(SHAPE)
    monkeypatch.setitem(deeplab.SIZES, "maskclip_plus", small)


MASKCLIP_PLUS = {
    "student": "maskclip_plus",
    "image_size": 112,
    "updates": 2,
    "batch": 2,
    "held_out": 0.3,
    "labels": "each_step",
    "feature_weight": 0.5,
    "unsure_below": 0.05,
}


@pytest.mark.usefixtures("small_maskclip_plus")
def test_a_student_is_taught_texts_and_vectors_of_its_teacher(photos: Path, tmp_path: Path) -> None:
    sets = [f"distil.{name}={value}" for name, value in MASKCLIP_PLUS.items()]
    folder = ovsskit.run_distil("maskclip_tiny", photos, *sets, out=tmp_path / "out")
    stored = load_file(folder / "model.safetensors")
    teacher = ovsskit.load("maskclip_tiny")
    result = teacher(sorted(photos.iterdir())[0])
    texts = result.slots["text_features"]
    rows = torch.tensor(texts.labels)
    for label in range(1, len(teacher.plan.vocabulary.labels)):
        mean = texts.data[rows == label].mean(0)
        torch.testing.assert_close(stored["classifier.texts"][label - 1], mean / mean.norm())
    pipeline = ovsskit.load(folder / "recipe.toml")
    assert pipeline(result.image.pixels.numpy()).ids.shape == result.image.size
    file = write_onnx(folder, tmp_path / "onnx")
    pixels = torch.randn(2, 3, 70, 90)
    backbone: Any = pipeline.models["backbone"]
    [found] = onnxruntime.InferenceSession(file).run(None, {"pixels": pixels.numpy()})
    with torch.no_grad():
        expected = backbone.network(pixels)
    torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.usefixtures("small_maskclip_plus")
def test_a_teacher_without_texts_cannot_teach_them(distil: Distil) -> None:
    status, _, error = distil("out", "--student", "maskclip_plus")
    assert status == 2
    assert "The teacher writes no `text_features`" in error
    assert "deeplab-tiny" in error


def test_unsure_pixels_of_a_run_teach_nothing(photos: Path, tmp_path: Path) -> None:
    sets = [f"distil.{one}" for one in (*QUICK, "unsure_below=0.5")]
    folder = ovsskit.run_distil("ifseg_tiny", photos, *sets, out=tmp_path / "out")
    run = FinishedRun(folder / "teacher")
    all_pixels, _ = split(run, 0.0, 10**8)
    sure, _ = split(run, 0.0, 10**8, unsure_below=0.5)
    for index in range(len(sure)):
        unsure = torch.from_numpy(run.confidence(sure.record(index))) < 0.5
        expected = torch.where(unsure, IGNORED, all_pixels[index].labels)
        assert torch.equal(sure[index].labels, expected)
    assert any((sure[index].labels == IGNORED).any() for index in range(len(sure)))
