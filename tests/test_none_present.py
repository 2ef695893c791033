"""An image that shows none of the classes becomes background all over, and a person is told so."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pytest
import torch
from run_records import read_run

from ovsskit.cli.__main__ import main
from ovsskit.embedded import sample_scenes
from ovsskit.engine.values import Image, Present
from ovsskit.recipe.build import load_recipe
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.output.notes import notes_on
from ovsskit.run.pipeline import Pipeline
from ovsskit.testing import ToyBackbone

RECIPES = (
    "pnp_blip",
    "pnp_albef",
    "pnp_bridgetower",
    "pnp_mplug",
    "pnp_blip_released",
    "pnp_blip_released_ade20k",
    "pnp_blip_released_coco_object",
)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("sets", [(), ("background.when=never",)])
def test_every_recipe_that_asks_for_classes_takes_none(
    tmp_path: Path, recipe: str, sets: tuple[str, ...]
) -> None:
    file = tmp_path / "present.json"
    file.write_text(json.dumps({"image": []}))
    nothing = ("presence_by_matching.none_below=1.0",)
    if "released" in recipe:
        nothing = (f"presence_from_file.file={file}", "presence_from_file.none=true")
    loaded = load_recipe(recipe, (*nothing, *sets))
    own = loaded.plan.vocabulary
    vocabulary = own if own.names else make_vocabulary(["dog", "cat"])
    pipeline = Pipeline.of(
        loaded.plan.stages, {"backbone": ToyBackbone()}, vocabulary, device="cpu"
    )
    noise = numpy.random.default_rng(0).integers(0, 255, (30, 40, 3)).astype("uint8")
    found = pipeline(noise)
    assert found.slots["present"].labels == ()
    assert found.ids.unique().tolist() == [0]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the quickstart on a white image, one of few pixels, and a scene; leave what it printed,
    too.
    """
    folder = tmp_path_factory.mktemp("none")
    PIL.Image.new("RGB", (60, 40), "white").save(folder / "white.png")
    scene = PIL.Image.open(sample_scenes()[1].image)
    scene.save(folder / "scene.png")
    scene.resize((12, 9)).save(folder / "small.png")
    with pytest.MonkeyPatch.context() as patch, (folder / "printed.txt").open("w") as printed:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "200")
        patch.setattr(sys, "stdout", printed)
        images = ["scene.png", "small.png", "white.png"]
        command = ["ovsskit", "run", "quickstart", *images, "--out", "out", "--device", "cpu"]
        command += ["--explain", "white", "--save-scores", "--save-confidence"]
        patch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as stopped:
            main()
    assert not stopped.value.code
    return folder


def test_the_record_tells_why_a_class_is_missing(ran: Path) -> None:
    record = read_run(ran / "out")
    scene, small, white = record["images"]
    assert record["without_a_class"] == 1
    assert white["areas"] == [[0, 1.0]]
    assert white["notes"][0].startswith("none of the classes is seen: the best match is `")
    assert white["notes"][1] == "the image is a single colour"
    assert small["notes"][-1] == "the image is only 12 x 9 pixels"
    assert scene["notes"] == []
    for one in (scene, small, white):
        assert len(one["presence"]) == 24
        values = [value for _, value in one["presence"]]
        assert values == sorted(values, reverse=True)
    shown = {number for number, value in scene["presence"] if value >= 0.7}
    assert {number for number, _ in scene["areas"]} <= {0, *shown}


def test_the_summary_and_the_gallery_count_such_images(ran: Path) -> None:
    printed = (ran / "printed.txt").read_text()
    assert "without a class     1: white" in printed
    assert "white.png: none of the classes is seen" in printed
    gallery = (ran / "out" / "index.html").read_text()
    assert "1 without any class" in gallery
    listed = (ran / "out" / "gallery/pages/000000.js").read_text()
    assert "none of the classes is seen: the best match is" in listed
    assert list((ran / "out" / "maps" / "white").iterdir())
    with numpy.load(ran / "out" / "scores" / "white.npz") as scores:
        assert {*scores["names"].tolist()} == {"background"}
    mask = numpy.asarray(PIL.Image.open(ran / "out" / "masks" / "white.png"))
    assert not mask.any()


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (torch.full((3, 40, 30), 0.5), "the image is a single colour"),
        (torch.rand(3, 1, 1), "the image is a single colour"),
        (torch.rand(3, 15, 40), "the image is only 40 x 15 pixels"),
        (torch.rand(3, 16, 16), ""),
    ],
)
def test_images_in_which_there_is_nothing_to_see(data: Any, note: str) -> None:
    assert notes_on(Image(data), None) == ((note,) if note else ())
    chosen = Present((1,), note="chosen")
    assert notes_on(Image(data), chosen) == (("chosen", note) if note else ("chosen",))
