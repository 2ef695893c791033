"""All layouts of COCO, Context and Cityscapes give the masks that were written."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from scenes import scene

from miniatures import (
    Scene,
    packed_runs,
    save_grey,
    save_list,
    save_matlab,
    write_cityscapes,
    write_coco,
    write_coco10k,
    write_context,
)
from ovsskit.datasets.dataset import VOID, Dataset
from ovsskit.datasets.facts import facts_of
from ovsskit.datasets.open import open_dataset
from ovsskit.errors import BadFile, MissingExtra, NoDataset

PERSON, STOP_SIGN, TOOTHBRUSH, BANNER, WOOD = 0, 11, 79, 80, 170


def frame(scene: Scene, label: int) -> Scene:
    """Let a class be no rectangle: a frame around the image, which becomes no polygon."""
    image, mask = scene
    mask = mask.copy()
    mask[[1, -1]] = mask[:, [0, -1]] = label
    return image, mask


STUFF = [
    scene(PERSON, BANNER, STOP_SIGN),
    frame(scene(TOOTHBRUSH, WOOD), PERSON),
    frame(scene(BANNER, TOOTHBRUSH), WOOD),
    scene(VOID),
]
CONTEXT = [
    (image, numpy.where(mask == VOID, 0, mask).astype("int16"))
    for image, mask in (scene(0, 1, 59), frame(scene(23, 5), 48), scene(0))
]


def truths(dataset: Dataset) -> list[numpy.ndarray]:
    return [item.read_truth() for item in dataset.items]


def same(found: list[numpy.ndarray], expected: list[numpy.ndarray]) -> bool:
    return all(map(numpy.array_equal, found, expected)) and len(found) == len(expected)


@pytest.mark.parametrize("layout", ["maps", "mmsegmentation", "json"])
def test_coco_stuff(tmp_path: Path, layout: str) -> None:
    write_coco(tmp_path, STUFF)
    dataset = open_dataset("coco_stuff171", tmp_path, layout=layout)
    assert same(truths(dataset), [mask for _, mask in STUFF])
    assert [item.name for item in dataset.items] == [f"{139 + index:012d}" for index in range(4)]
    assert dataset.items[2].read_image().size == STUFF[2][1].shape


@pytest.mark.parametrize("layout", ["maps", "mmsegmentation", "instances"])
def test_coco_object_has_no_void(tmp_path: Path, layout: str) -> None:
    write_coco(tmp_path, STUFF)
    expected = [numpy.where((mask >= 0) & (mask < 80), mask + 1, 0) for _, mask in STUFF]
    assert same(truths(open_dataset("coco_object", tmp_path, layout=layout)), expected)


@pytest.mark.parametrize("layout", ["maps", "mmsegmentation", "json"])
def test_coco_stuff_coarsely(tmp_path: Path, layout: str) -> None:
    write_coco(tmp_path, STUFF)
    coarse = numpy.array([*facts_of("coco_stuff27").coarse, VOID])
    expected = [coarse[mask] for _, mask in STUFF]
    assert same(truths(open_dataset("coco_stuff27", tmp_path, layout=layout)), expected)
    assert coarse[[PERSON, STOP_SIGN, BANNER, WOOD]].tolist() == [9, 8, 17, 24]


def test_a_curated_list_of_coco_stuff_comes_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_coco(tmp_path, STUFF)
    assert open_dataset("coco_stuff27", tmp_path).layout == "maps"
    save_list(tmp_path / "curated/val2017/Coco164kFull_Stuff_Coarse_7.txt", [f"{140:012d}"])
    caplog.clear()
    dataset = open_dataset("coco_stuff27", tmp_path)
    assert caplog.text == ""
    assert (dataset.layout, [item.name for item in dataset.items]) == ("curated", [f"{140:012d}"])


def test_the_first_instance_stays_on_top(tmp_path: Path) -> None:
    write_coco(tmp_path, [scene(PERSON, STOP_SIGN)])
    everywhere = packed_runs(numpy.ones((12, 16), bool))
    last = {"image_id": 139, "category_id": 90, "segmentation": everywhere}
    path = tmp_path / "annotations" / "instances_val2017.json"
    change(path, lambda whole: whole["annotations"].append(last))
    found = open_dataset("coco_object", tmp_path, layout="instances").items[0].read_truth()
    assert numpy.array_equal(found[1:], scene(1, 12)[1][1:])
    assert {*found[0].tolist()} == {80}


def test_in_pascal_in_detail_the_last_segment_counts(tmp_path: Path) -> None:
    folder = write_context(tmp_path, CONTEXT)
    everywhere = packed_runs(numpy.ones((12, 16), bool))
    last = {"image_id": 2007000000, "category_id": 458, "segmentation": everywhere}
    change(folder / "trainval_merged.json", lambda whole: whole["annos_segmentation"].append(last))
    found = open_dataset("context60", tmp_path, layout="detail").items[0].read_truth()
    assert {*found.ravel().tolist()} == {59}


@pytest.mark.parametrize("layout", ["mmsegmentation", "detail", "release"])
@pytest.mark.parametrize("name", ["context60", "context59"])
def test_context(tmp_path: Path, name: str, layout: str) -> None:
    write_context(tmp_path, CONTEXT)
    expected = [mask if name == "context60" else mask - 1 for _, mask in CONTEXT]
    dataset = open_dataset(name, tmp_path, layout=layout)
    assert same(truths(dataset), expected)
    assert dataset.layout == layout


def test_coco_stuff_10k_as_released(tmp_path: Path) -> None:
    write_coco10k(tmp_path / "cocostuff-10k-v1.1", STUFF)
    dataset = open_dataset("coco_stuff10k", tmp_path)
    assert same(truths(dataset), [mask for _, mask in STUFF])
    assert (dataset.split, dataset.layout) == ("test2014", "release")


@pytest.mark.parametrize("layout", ["labels", "train_ids"])
def test_cityscapes(tmp_path: Path, layout: str) -> None:
    scenes = [scene(0, 18), scene(7, VOID, 2), scene(5)]
    write_cityscapes(tmp_path, scenes)
    dataset = open_dataset("cityscapes", tmp_path, layout=layout)
    assert same(truths(dataset), [scenes[index][1] for index in (0, 2, 1)])
    assert dataset.items[2].name == "lindau/lindau_000001_000019"
    mask = tmp_path / "gtFine/val/lindau/lindau_000001_000019_gtFine_labelIds.png"
    save_grey(mask, numpy.full((12, 16), 255))
    if layout == "labels":
        with pytest.raises(BadFile, match="numbers of no class: 255"):
            dataset.items[2].read_truth()


Change = Callable[[dict[str, Any]], Any]


def change(path: Path, how: Change) -> None:
    whole = json.loads(path.read_text())
    how(whole)
    path.write_text(json.dumps(whole))


@pytest.mark.parametrize(
    ("how", "what"),
    [
        (lambda w: w["images"].append(w["images"][0]), "the image 139 is listed twice"),
        (lambda w: w["images"][0].pop("height"), "at `height`"),
        (lambda w: w["images"][0].update(height=10**9), "at `height`"),
        (lambda w: w["images"].clear(), "lists no image"),
        (lambda w: w["images"].pop(0), "Segments belong to 1 images .* such as 139"),
        (lambda w: w["images"][1].update(file_name="000000000139.jpg"), "have one name"),
        (lambda w: w["annotations"][0].pop("image_id"), "an entry has no `image_id`"),
        (
            lambda w: [one.update(file_name=f"9{one['file_name']}") for one in w["images"]],
            "None of",
        ),
        (lambda w: w["images"][3].update(file_name="000000009999.jpg"), "1 images or masks of the"),
        (lambda w: w["categories"][11].update(id=12), "12 is `stop sign` in this file"),
        (
            lambda w: w["categories"][0].update(name="human"),
            "1 is `human` in this file, and `person`",
        ),
    ],
)
def test_annotations_that_are_wrong_as_a_whole(tmp_path: Path, how: Change, what: str) -> None:
    write_coco(tmp_path, STUFF)
    change(tmp_path / "annotations" / "instances_val2017.json", how)
    if "12 is" in what:  # the street sign, which no mask has
        open_dataset("coco_object", tmp_path, layout="instances")
        return
    with pytest.raises(BadFile, match=what):
        open_dataset("coco_object", tmp_path, layout="instances")


@pytest.mark.parametrize(
    ("segmentation", "what"),
    [
        ({"counts": [12 * 16 - 1], "size": [12, 16]}, "the runs do not cover 16 x 12 pixels"),
        ({"counts": [12 * 16], "size": [16, 12]}, "A segment is 12 x 16 pixels"),
        ({"counts": [-1, 12 * 16 + 1], "size": [12, 16]}, "the runs do not cover"),
        ({"counts": "oooo", "size": [12, 16]}, "the runs are cut off"),
        ({"counts": "0~", "size": [12, 16]}, "`~` does not belong in runs"),
        ({"counts": "0", "size": [12, 16]}, "the runs do not cover 16 x 12 pixels"),
        ([[0.0, 0.0, 1.0]], "segmentation"),
        ([[0.0, 0.0, 1e9, 0.0, 1.0, 1.0]], "A polygon lies far outside its image"),
        ([[0.0, 0.0, float("nan"), 0.0, 1.0, 1.0]], "A polygon lies far outside its image"),
        ("everything", "segmentation"),
    ],
)
def test_segments_that_are_wrong(tmp_path: Path, segmentation: Any, what: str) -> None:
    write_coco(tmp_path, STUFF)
    path = tmp_path / "annotations" / "instances_val2017.json"
    change(path, lambda whole: whole["annotations"][0].update(segmentation=segmentation))
    item = open_dataset("coco_object", tmp_path, layout="instances").items[0]
    with pytest.raises(BadFile, match=what) as caught:
        item.read_truth()
    assert str(path) in str(caught.value.where)


def test_a_category_that_the_data_set_does_not_have(tmp_path: Path) -> None:
    write_coco(tmp_path, STUFF)
    path = tmp_path / "annotations" / "instances_val2017.json"
    change(path, lambda whole: whole["annotations"][0].update(category_id=12))
    item = open_dataset("coco_object", tmp_path, layout="instances").items[0]
    with pytest.raises(BadFile, match="numbers of no class: 12") as caught:
        item.read_truth()
    assert "image 139" in str(caught.value.where)


def test_annotations_that_are_cut_off_or_no_json(tmp_path: Path) -> None:
    write_coco(tmp_path, STUFF)
    path = tmp_path / "annotations" / "instances_val2017.json"
    whole = path.read_text()
    for text in (whole[: len(whole) // 2], whole[:-1], "", "[1, 2]", "nothing"):
        path.write_text(text)
        with pytest.raises(BadFile, match="it is not JSON, or cut off"):
            open_dataset("coco_object", tmp_path, layout="instances")


def test_files_of_instances_and_stuff_are_of_one_split(tmp_path: Path) -> None:
    write_coco(tmp_path, STUFF)
    write_coco(tmp_path / "more", STUFF[:2])
    (tmp_path / "more/annotations/stuff_val2017.json").replace(
        tmp_path / "annotations" / "stuff_val2017.json"
    )
    with pytest.raises(BadFile, match="other images than instances_val2017.json: 2 are in one"):
        open_dataset("coco_stuff171", tmp_path, layout="json")


def test_annotations_that_change_while_they_are_read(tmp_path: Path) -> None:
    write_coco(tmp_path, STUFF)
    item = open_dataset("coco_object", tmp_path, layout="instances").items[0]
    path = tmp_path / "annotations" / "instances_val2017.json"
    path.write_text(f"  {path.read_text()}")
    with pytest.raises(BadFile, match="cannot be read"):
        item.read_truth()


def test_a_phase_that_is_not_there(tmp_path: Path) -> None:
    write_context(tmp_path, CONTEXT)
    with pytest.raises(BadFile, match="no image of the split train") as caught:
        open_dataset("context60", tmp_path, "train", layout="detail")
    assert caught.value.there == "Its phases: val"


@pytest.mark.parametrize(
    ("variables", "what"),
    [
        ({"Other": numpy.ones((12, 16))}, "no variable `S`"),
        ({"S": numpy.full((12, 16), 0.5)}, "numbers that are not whole"),
        ({"S": numpy.ones((12, 16, 3))}, r"not a mask: it is double, \(12, 16, 3\)"),
        ({"S": "text"}, "not a mask: it is char"),
        ({"S": numpy.array([{"a": 1}], object)}, "not a mask: it is"),
        ({"S": numpy.full((12, 16), 12, "uint16")}, "numbers of no class: 12"),
        ({"S": numpy.full((12, 16), -1, "int16")}, "numbers of no class: -1"),
        ({"S": numpy.zeros((1 << 14, 1 << 14), "uint8")}, "a variable is larger than 64 MB"),
    ],
)
def test_matlab_files_that_are_wrong(tmp_path: Path, variables: dict[str, Any], what: str) -> None:
    write_coco10k(tmp_path, STUFF)
    item = open_dataset("coco_stuff10k", tmp_path).items[0]
    path = tmp_path / "annotations" / f"{item.name}.mat"
    save_matlab(path, **variables)
    with pytest.raises(BadFile, match=what) as caught:
        item.read_truth()
    assert str(path) in str(caught.value.where)
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(BadFile, match="The MATLAB file cannot be read"):
        item.read_truth()


@pytest.mark.parametrize(
    ("name", "layout", "missing", "package"),
    [
        ("coco_stuff10k", "release", "scipy.io", "scipy"),
        ("coco_object", "instances", "pycocotools.mask", "pycocotools"),
    ],
)
def test_a_missing_package_is_named_before_anything_is_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    layout: str,
    missing: str,
    package: str,
) -> None:
    write_coco10k(tmp_path, STUFF)
    write_coco(tmp_path, STUFF)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtra, match=f"needs the package `{package}`") as caught:
        open_dataset(name, tmp_path, layout=layout)
    assert caught.value.fix == 'pip install "ovsskit[data]"'


def test_half_of_the_annotations(tmp_path: Path) -> None:
    write_coco(tmp_path, STUFF)
    (tmp_path / "annotations" / "stuff_val2017.json").unlink()
    with pytest.raises(NoDataset, match="annotations/stuff_val2017.json is missing") as caught:
        open_dataset("coco_stuff171", tmp_path, layout="json")
    assert "annotations/instances_val2017.json" in caught.value.there
