"""A bank of painted scenes is built, used, and refused where it does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import ovsskit
from ovsskit.bank.build import BankOptions, Builder, build_bank
from ovsskit.bank.table import BankTable
from ovsskit.cli.app import app
from ovsskit.engine.notices import Silent
from ovsskit.engine.prototype_bank import read_bank, read_words
from ovsskit.errors import BadOutput, MissingCapability, NoImages, OvsskitError
from ovsskit.recipe.build import load_recipe
from ovsskit.run.samples import sample_images

CLASSES = "dog, tree"


def options(folder: Path, *overrides: str, images: tuple[str, ...] = ()) -> BankOptions:
    given = images or tuple(map(str, sample_images()[:6]))
    few = ("bank.images_per_class=3", *overrides)
    return BankOptions(
        "reco_tiny",
        classes=CLASSES,
        out=folder / "bank.safetensors",
        overrides=few,
        device="cpu",
        images=given,
    )


def test_a_bank_is_built_and_used(tmp_path: Path) -> None:
    file = build_bank(options(tmp_path), Silent())
    bank = read_bank(file)
    assert bank.words[-2:] == ("dog", "tree")
    torch.testing.assert_close(bank.prototypes.norm(dim=1), torch.ones(len(bank.words)))
    assert all(len(some) == 3 for some in bank.notes["images"].values())
    assert bank.digest == bank.notes["models"]["features"]["digest"]
    pipeline = ovsskit.load("reco_tiny", f"read_bank.file={file}", device="cpu")
    result = pipeline(sample_images()[8], classes=["tree", "dog"])
    assert result.ids.shape == result.image.size


def test_a_second_build_gives_the_same_and_asks_no_model_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ovsskit.backbones.clip.clip_dense import ClipDense

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = read_bank(build_bank(options(tmp_path / "a"), Silent()))

    def never(*_: object) -> None:
        raise AssertionError("an image is described again")

    monkeypatch.setattr(ClipDense, "describe_patches", never)
    again = read_bank(build_bank(options(tmp_path / "b"), Silent()))
    assert torch.equal(first.prototypes, again.prototypes)


def test_context_comes_first_and_classes_may_take_its_prototype(tmp_path: Path) -> None:
    sets = ('bank.context=["tree"]', 'bank.same_as={ "dog" = "tree" }')
    bank = read_bank(build_bank(options(tmp_path, *sets), Silent()))
    rows = dict(zip(bank.words, bank.prototypes, strict=True))
    assert torch.equal(rows["dog"], rows["tree"])


def test_what_stands_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoImages):
        build_bank(options(tmp_path, images=(str(tmp_path / "empty"),)), Silent())
    (tmp_path / "bank.safetensors").write_text("mine")
    with pytest.raises(BadOutput):
        build_bank(options(tmp_path), Silent())
    assert (tmp_path / "bank.safetensors").read_text() == "mine"
    recipe = load_recipe("reco_tiny")
    with pytest.raises(MissingCapability, match=r"`bank.features` is `judge`"):
        Builder(recipe, BankTable(features="judge"), "cpu", Silent())


def test_command_leaves_a_bank_and_says_how_to_use_it(tmp_path: Path) -> None:
    file = tmp_path / "bank.safetensors"
    images = [str(path) for path in sample_images()[:3]]
    command = ["bank", "build", "reco_tiny", "--classes", CLASSES, "--out", str(file)]
    command += ["--set", "bank.images_per_class=2", "--device", "cpu"]
    for image in images:
        command += ["--images", image]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "--set read_bank.file=" in result.output
    words, notes = read_words(file)
    assert words[-2:] == ("dog", "tree")
    json.dumps(notes)


def test_a_run_without_a_bank_says_how_to_get_one() -> None:
    pipeline = ovsskit.load("reco_tiny", device="cpu")
    with pytest.raises(OvsskitError, match="names no file") as caught:
        pipeline(sample_images()[0], classes=["dog"])
    assert "ovsskit bank build" in caught.value.fix
