"""A bank of regions is built from a folder, and helps the images of the same folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import ovsskit
from ovsskit.bank.build import BankOptions, build_bank
from ovsskit.bank.regions import as_far_as, retrieving
from ovsskit.cli.app import app
from ovsskit.engine.notices import Silent
from ovsskit.engine.region_bank import RegionBank
from ovsskit.errors import BadFile, BadOutput, NoImages, UnfilledSlot
from ovsskit.recipe.build import load_recipe
from ovsskit.run.samples import sample_images

FEWER = "models.masks.pieces=12"
IMAGES = tuple(map(str, sample_images()[:3]))


def options(file: Path, *images: str) -> BankOptions:
    return BankOptions(
        "ovsskit_bank_tiny", out=file, overrides=(FEWER,), device="cpu", images=images or IMAGES
    )


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_bank(options(tmp_path_factory.mktemp("bank") / "bank.safetensors"), Silent())


def test_entries_are_what_the_recipe_sees_in_regions(bank: Path) -> None:
    found = RegionBank.open(bank)
    pipeline = ovsskit.load("ovsskit_bank_tiny", FEWER, f"retrieve.file={bank}", device="cpu")
    slots = pipeline(sample_images()[1], classes=["dog"]).slots
    numbers = slots["regions"].data.unique()
    mine = found.images == 1
    assert int(mine.sum()) == int((numbers > 0).sum())
    keys = found.keys(0, len(found))[mine]
    torch.testing.assert_close(keys.norm(dim=1), torch.ones(len(keys)), atol=2e-3, rtol=0)
    # the first region by hand: every pixel has the vector of the patch that it lies in
    inside = slots["regions"].data == numbers[numbers > 0][0]
    for slot, entry in (
        ("guide_features", keys[0]),
        ("patch_features", found.values([int(mine.nonzero()[0])])[0]),
    ):
        maps = torch.nn.functional.normalize(slots[slot].data, dim=0)
        large = torch.nn.functional.interpolate(maps[None], inside.shape, mode="nearest")[0]
        mean = large[:, inside].mean(1)
        expected = mean / mean.norm() if slot == "guide_features" else mean
        torch.testing.assert_close(entry, expected, atol=2e-3, rtol=0)


def test_an_image_does_not_find_itself_in_the_bank_of_its_folder(
    bank: Path, tmp_path: Path
) -> None:
    """A bank without the image gives the same as the one that holds it."""
    others = build_bank(options(tmp_path / "others.safetensors", *IMAGES[1:]), Silent())
    found = [
        ovsskit.load("ovsskit_bank_tiny", FEWER, f"retrieve.file={file}", *more, device="cpu")(
            sample_images()[0], classes=["dog", "tree"]
        )
        .slots["retrieved"]
        .data
        for file, more in ((bank, ()), (others, ()), (bank, ("retrieve.exclude=nothing",)))
    ]
    torch.testing.assert_close(found[0], found[1], atol=1e-6, rtol=0)
    assert (found[0] - found[2]).abs().max() > 1e-3


def test_a_second_build_asks_no_model_again(
    bank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ovsskit.backbones.clip.clip import Clip

    def never(*_: object) -> None:
        raise AssertionError("an image is encoded again")

    monkeypatch.setattr(Clip, "hidden", never)
    again = build_bank(options(tmp_path / "again.safetensors"), Silent())
    assert again.read_bytes() == bank.read_bytes()


def test_an_image_that_cannot_be_read_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"none")
    file = build_bank(options(tmp_path / "bank.safetensors", str(broken), IMAGES[0]), Silent())
    assert RegionBank.open(file).images.unique().tolist() == [0]
    assert "broken.jpg is left out" in caplog.text
    with pytest.raises(NoImages, match="No region was found"):
        build_bank(options(tmp_path / "none.safetensors", str(broken)), Silent())
    assert not (tmp_path / "none.safetensors").exists()


def test_what_stands_in_the_way_is_said(bank: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoImages):
        build_bank(options(tmp_path / "bank.safetensors", str(tmp_path / "empty")), Silent())
    with pytest.raises(BadOutput):
        build_bank(options(bank), Silent())
    pipeline = ovsskit.load("ovsskit_bank_tiny", FEWER, device="cpu")
    with pytest.raises(BadFile, match="names no file") as caught:
        pipeline(sample_images()[0], classes=["dog"])
    assert "ovsskit bank build" in caught.value.fix


def test_a_recipe_without_features_of_whole_images_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        'extends = "corrclip_tiny"\n[[stage]]\nuse = "guide_features"\nname = "keys"\n'
        'reads = { backbone = "guide" }\nafter = "paint_regions"\n'
        '[[stage]]\nuse = "retrieve"\nafter = "keys"\n'
    )
    recipe = load_recipe(own)
    stage = retrieving(recipe)
    assert stage is not None
    with pytest.raises(UnfilledSlot, match="writes `patch_features`"):
        as_far_as(recipe, stage)


def test_command_says_how_to_use_the_bank(tmp_path: Path) -> None:
    file = tmp_path / "bank.safetensors"
    command = ["bank", "build", "ovsskit_bank_tiny", "--out", str(file), "--set", FEWER]
    command += ["--device", "cpu", "--images", IMAGES[0], "--images", IMAGES[1]]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert f"--set retrieve.file={file}" in result.output.replace("\n", "")
