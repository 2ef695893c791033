"""The same painted scenes give the same numbers from VOC's, COCO's and ADE20K's files: those of a
count that knows nothing of data sets.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pytest
from miniatures import Scene, write_ade, write_coco, write_voc

import ovsskit
from ovsskit.datasets.dataset import VOID
from ovsskit.datasets.facts import facts_of
from ovsskit.embedded import NOUNS, STUFFS
from ovsskit.engine.notices import Silent
from ovsskit.eval.eval import evaluate
from ovsskit.eval.options import EvalOptions, TruthOptions
from tiny_models.evaluate import evaluation_scenes

SHARED = ("car", "bus", "boat", "bicycle", "airplane")
"""The nouns of the tiny models that all three data sets have as classes."""
SPELT = {("voc21", "airplane"): "aeroplane"}
FIRST_SEED = 310_000_000
LAYOUTS: dict[str, tuple[str, Callable[..., Path]]] = {
    "voc21": ("voc21", write_voc),
    "coco_object": ("coco_stuff171", write_coco),
    "ade20k": ("ade20k", write_ade),
}
"""A writer for each data set, and the data set whose numbers it takes."""


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    scenes = evaluation_scenes(8, first_seed=FIRST_SEED)
    images = [numpy.asarray(scene.image.convert("RGB")) for scene in scenes]
    found = {}
    for name, (numbers, write) in LAYOUTS.items():
        facts = facts_of(numbers)
        table = numpy.full(len(NOUNS) + 1, VOID if facts.background is None else facts.background)
        for place, noun in enumerate(NOUNS, 1):
            words = (noun, "aeroplane" if noun == "airplane" else noun)
            if noun in SHARED:
                table[place] = next(
                    facts.classes.index(one) for one in words if one in facts.classes
                )
        stored: list[Scene] = [
            (image, table[scene.things]) for image, scene in zip(images, scenes, strict=True)
        ]
        found[name] = tmp_path_factory.mktemp(name)
        write(found[name], stored)
    return found


def iou_by_hand(folder: Path) -> dict[str, float]:
    """Count found masks, whose numbers are 1 and up in the order of `SHARED`."""
    table = numpy.array([0, *(SHARED.index(one) + 1 if one in SHARED else 0 for one in NOUNS)])
    truth, predicted = [], []
    for index, scene in enumerate(evaluation_scenes(8, first_seed=FIRST_SEED)):
        truth.append(table[scene.things].ravel())
        with PIL.Image.open(folder / "masks" / f"{index:06d}.png") as mask:
            predicted.append(numpy.asarray(mask).ravel())
    true, found = numpy.concatenate(truth), numpy.concatenate(predicted)
    shares = {}
    for number, name in enumerate(("background", *SHARED)):
        both, either = (true == number) & (found == number), (true == number) | (found == number)
        if (true == number).any():
            shares[name] = both.sum() / either.sum()
    return shares


@pytest.mark.parametrize("recipe", ["quickstart", "itaclip_tiny", "naclip_tiny"])
def test_three_layouts_give_the_numbers_of_an_independent_count(
    recipe: str, roots: dict[str, Path], tmp_path: Path
) -> None:
    records: dict[str, Any] = {}
    for name, root in roots.items():
        options = EvalOptions(
            recipe,
            classes=", ".join(SHARED),
            out=tmp_path / name,
            truth=TruthOptions(name, root),
            protocol="pnp_ovss",
            save_masks=True,
        )
        records[name] = evaluate(options, Silent())
    expected = iou_by_hand(tmp_path / "voc21")
    mean = sum(expected.values()) / len(expected)
    assert len(expected) > 3
    assert 0.1 < mean < 0.99
    for record in records.values():
        assert record["metrics"]["miou"] == pytest.approx(mean)
        shown = {one["name"]: one["iou"] for one in record["classes"] if one["true_pixels"]}
        shown |= {"airplane": shown.pop("aeroplane")} if "aeroplane" in shown else {}
        assert shown == pytest.approx(expected)


def test_words_that_a_recipe_is_tuned_for_meet_the_classes_that_a_data_set_has(
    roots: dict[str, Path], tmp_path: Path
) -> None:
    record = ovsskit.run_eval(
        "ifseg_tiny",
        dataset="coco_object",
        root=roots["coco_object"],
        classes=[*NOUNS, *STUFFS],
        out=tmp_path,
    )
    found = {one["name"] for one in record["classes"]} - {*record["not_looked_for"]}
    assert {*SHARED, "dog", "elephant"} <= found
    assert {"fish", "house", "sky"} <= {*record["of_no_class"]}
    assert record["metrics"]["miou"] > 0


def test_a_wrong_root_says_what_was_looked_for_and_what_there_is(
    roots: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ovsskit.OvsskitError) as error:
        ovsskit.run_eval("quickstart", dataset="voc21", root=roots["ade20k"], out=tmp_path)
    message = str(error.value)
    assert "ImageSets/Segmentation/val.txt" in message
    assert "ADEChallengeData2016" in message
    assert not (tmp_path / "eval.json").exists()
