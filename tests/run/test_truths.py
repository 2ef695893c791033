"""A run on images with known masks shows the truth beside what it found."""

from __future__ import annotations

from pathlib import Path

import numpy
import PIL.Image
import pytest
from run_records import read_run
from typer.testing import CliRunner

from ovsskit.cli.app import app
from ovsskit.embedded import NOUNS, STUFFS, sample_scenes
from ovsskit.errors import OvsskitError
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.truths import find_truths

TESTS = Path(__file__).parent.parent
IGNORED = (255,)


@pytest.mark.parametrize("names", [NOUNS, (*NOUNS, *STUFFS), ("night", "bus")])
def test_true_masks_of_sample_scenes_are_perfect(names: tuple[str, ...]) -> None:
    vocabulary = make_vocabulary(names)
    truths = find_truths([], [], vocabulary, True, None, None, IGNORED)
    assert truths is not None
    for scene in sample_scenes()[:4]:
        item = truths.items[str(scene.image)]
        truth = item.read_truth()
        ids = numpy.zeros(truth.shape, int)
        for identity, number in truths.matching.numbers.items():
            ids[truth == number] = identity
        compared = truths.compare(str(scene.image), ids)
        assert compared.miou == 1.0 or (truth < 0).all()
        assert numpy.array_equal(compared.truth, truth)


def test_classes_that_scenes_do_not_know_have_no_truth() -> None:
    assert find_truths([], [], make_vocabulary(["zebra"]), True, None, None, IGNORED) is None
    assert find_truths([], [], make_vocabulary(["dog"]), False, None, None, IGNORED) is None


@pytest.fixture
def scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Paint an image that is half red and half blue, and three quarters red in truth."""
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "truth"):
        (tmp_path / folder).mkdir()
    image = numpy.zeros((20, 40, 3), "uint8")
    image[:, :20, 0] = image[:, 20:, 2] = 255
    PIL.Image.fromarray(image).save(tmp_path / "photos" / "a.png")
    truth = numpy.full((20, 40), 1, "uint8")
    truth[:, 30:] = 2
    PIL.Image.fromarray(truth).save(tmp_path / "truth" / "a.png")
    (tmp_path / "classes.txt").write_text("1 red\n2 blue\n")
    return tmp_path


TOY = ("run", str(TESTS / "toy.toml"), "photos", "--classes", "red, blue", "--out", "out")
PLUGIN = ("--plugin", str(TESTS / "toy_stages.py"), "--quiet")
TRUTH = ("--truth", "truth", "--truth-classes", "classes.txt")


def test_masks_of_a_folder_are_compared_with(scenes: Path) -> None:
    assert CliRunner().invoke(app, [*TOY, *TRUTH, *PLUGIN]).exit_code == 0
    [record] = read_run(scenes / "out")["images"]
    assert record["miou"] == pytest.approx((20 / 30 + 10 / 20) / 2)
    with PIL.Image.open(scenes / "out" / "gallery" / "errors" / "a.jpg") as errors:
        red, green, blue = numpy.asarray(errors)[10, 25].astype(int)
        assert red > green + 60
        assert red > blue + 60
        right = numpy.asarray(errors)[10, 5].astype(int)
    assert right.max() - right.min() < 20
    assert '"miou": 0.58' in (scenes / "out" / "gallery/pages/000000.js").read_text()


def test_a_run_without_truth_gets_it_when_it_is_named_later(scenes: Path) -> None:
    assert CliRunner().invoke(app, [*TOY, *PLUGIN]).exit_code == 0
    assert not (scenes / "out" / "gallery" / "truth").exists()
    assert CliRunner().invoke(app, [*TOY, *TRUTH, *PLUGIN]).exit_code == 0
    assert (scenes / "out" / "gallery" / "truth" / "a.jpg").exists()


def test_a_mask_of_another_size_is_noted_and_the_image_done(scenes: Path) -> None:
    PIL.Image.new("L", (3, 3), 1).save(scenes / "truth" / "a.png")
    assert CliRunner().invoke(app, [*TOY, *TRUTH, *PLUGIN]).exit_code == 0
    [record] = read_run(scenes / "out")["images"]
    assert record["state"] == "done"
    assert record["miou"] is None
    assert "The true mask is 3 x 3 pixels, and the image 40 x 20." in record["notes"][0]


def test_masks_without_a_file_of_classes_are_refused(scenes: Path) -> None:
    refused = CliRunner().invoke(app, [*TOY, "--truth", "truth", *PLUGIN]).exception
    assert isinstance(refused, OvsskitError)
    assert "Nothing says which classes the numbers in the masks stand for." in str(refused)


def test_masks_lie_as_images_do_in_the_folder_that_was_named(scenes: Path) -> None:
    for folder in ("photos", "truth"):
        (scenes / folder / "inside").mkdir()
        (scenes / folder / "a.png").rename(scenes / folder / "inside" / "a.png")
    assert CliRunner().invoke(app, [*TOY, *TRUTH, *PLUGIN]).exit_code == 0
    [record] = read_run(scenes / "out")["images"]
    assert record["miou"] is not None
