"""The same painted scenes give the same numbers from VOC's, COCO's and ADE20K's files: those of a
count that knows nothing of data sets.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import ovsskit
from evaluation import FIRST_SEED, LAYOUTS, SHARED, count_again, measure, store
from ovsskit.embedded import NOUNS, STUFFS
from tiny_models.evaluate import evaluation_scenes
from tiny_models.scenes import Scene


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return evaluation_scenes(8, first_seed=FIRST_SEED)


@pytest.fixture(scope="module")
def root(scenes: list[Scene], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    store(scenes, folder)
    return folder


@pytest.mark.parametrize("recipe", ["quickstart", "itaclip_tiny", "naclip_tiny"])
def test_three_layouts_give_the_numbers_of_an_independent_count(
    recipe: str, scenes: list[Scene], root: Path, tmp_path: Path
) -> None:
    records = [measure(recipe, name, root / name, tmp_path / name) for name in LAYOUTS]
    expected = count_again(scenes, tmp_path / "voc21" / "masks")
    mean = sum(expected.values()) / len(expected)
    assert len(expected) > 3
    assert 0.1 < mean < 0.99
    for record in records:
        assert record["metrics"]["miou"] == pytest.approx(mean)
        shown = {one["name"]: one["iou"] for one in record["classes"] if one["true_pixels"]}
        shown |= {"airplane": shown.pop("aeroplane")} if "aeroplane" in shown else {}
        assert shown == pytest.approx(expected)


def test_words_that_a_recipe_is_tuned_for_meet_the_classes_that_a_data_set_has(
    root: Path, tmp_path: Path
) -> None:
    record = ovsskit.run_eval(
        "ifseg_tiny",
        dataset="coco_object",
        root=root / "coco_object",
        classes=[*NOUNS, *STUFFS],
        out=tmp_path,
    )
    found = {one["name"] for one in record["classes"]} - {*record["not_looked_for"]}
    assert {*SHARED, "dog", "elephant"} <= found
    assert {"fish", "house", "sky"} <= {*record["of_no_class"]}
    assert record["metrics"]["miou"] > 0


def test_a_wrong_root_says_what_was_looked_for_and_what_there_is(
    root: Path, tmp_path: Path
) -> None:
    with pytest.raises(ovsskit.OvsskitError) as error:
        ovsskit.run_eval("quickstart", dataset="voc21", root=root / "ade20k", out=tmp_path)
    message = str(error.value)
    assert "ImageSets/Segmentation/val.txt" in message
    assert "ADEChallengeData2016" in message
    assert not (tmp_path / "eval.json").exists()
