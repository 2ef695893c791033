"""A data set is found below any folder and read exactly, and what is wrong with it is told."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy
import PIL.Image
import pytest
from scenes import scene

from miniatures import ade_name, save_grey, save_list, voc_name, write_ade, write_voc
from ovsskit.datasets.dataset import VOID, Dataset, check_size
from ovsskit.datasets.open import open_dataset
from ovsskit.errors import BadFile, NoDataset

SCENES = [scene(0, 3, 20), scene(0), scene(15, 0)]


def truths(dataset: Dataset) -> list[numpy.ndarray]:
    return [item.read_truth() for item in dataset.items]


def same(found: list[numpy.ndarray], expected: list[numpy.ndarray]) -> bool:
    return all(map(numpy.array_equal, found, expected)) and len(found) == len(expected)


def test_voc_with_and_without_background(tmp_path: Path) -> None:
    write_voc(tmp_path, SCENES)
    with_background = open_dataset("voc21", tmp_path)
    assert same(truths(with_background), [mask for _, mask in SCENES])
    assert (with_background.split, with_background.layout) == ("val", "devkit")
    assert [item.name for item in with_background.items] == [voc_name(index) for index in range(3)]
    assert Path(with_background.files[0]).name == "val.txt"
    without = truths(open_dataset("voc20", tmp_path))
    assert same(without, [numpy.where(mask < 1, VOID, mask - 1) for _, mask in SCENES])


def test_ade_starts_at_one_and_knows_no_255(tmp_path: Path) -> None:
    folder = write_ade(tmp_path, SCENES)
    dataset = open_dataset("ade20k", tmp_path)
    assert same(truths(dataset), [mask for _, mask in SCENES])
    assert dataset.split == "validation"
    assert dataset.items[0].read_image().size == (12, 16)
    mask = folder / "annotations" / "validation" / f"{ade_name(1)}.png"
    for wrong in (255, 254, 151):
        save_grey(mask, numpy.full((12, 16), wrong))
        with pytest.raises(BadFile, match=f"holds numbers of no class: {wrong}") as caught:
            dataset.items[1].read_truth()
        assert "Known: 0-150." in caught.value.there
        assert str(mask) in str(caught.value.where)


@pytest.mark.parametrize(
    "root", ["", "data", "data/VOCdevkit", "data/VOCdevkit/VOC2012"], ids=lambda root: root or "."
)
def test_any_folder_on_the_way_is_enough(tmp_path: Path, root: str) -> None:
    write_voc(tmp_path / "data", SCENES)
    assert len(open_dataset("voc21", tmp_path / root).items) == 3


def test_a_list_says_which_images_and_in_which_order(tmp_path: Path) -> None:
    folder = write_voc(tmp_path, SCENES)
    save_list(folder / "ImageSets/Segmentation/train.txt", [voc_name(2), voc_name(0)])
    names = [item.name for item in open_dataset("voc21", folder, "train").items]
    assert names == [voc_name(2), voc_name(0)]
    save_list(folder / "ImageSets/Segmentation/mine.txt", [voc_name(1)])
    assert len(open_dataset("voc21", folder, "mine").items) == 1


def test_a_part_of_the_published_split_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_voc(tmp_path, SCENES)
    open_dataset("voc21", tmp_path)
    assert "3 images of the split val are here, and 1449 are published" in caplog.text


def test_masks_without_image_are_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_ade(tmp_path, SCENES)
    (folder / "images" / "validation" / f"{ade_name(0)}.jpg").unlink()
    assert len(open_dataset("ade20k", folder).items) == 2
    assert "1 masks have no image here and are left out" in caplog.text


def test_an_empty_folder_is_told_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    with pytest.raises(NoDataset, match="No files of the data set voc21") as caught:
        open_dataset("voc21", tmp_path)
    assert caught.value.there == "The folder holds: notes."
    assert (
        "devkit: ImageSets/Segmentation/val.txt and JPEGImages/{id}.jpg and "
        "SegmentationClass/{id}.png, here or in data/VOCdevkit/VOC2012." in caught.value.fix
    )
    assert str(caught.value.where) == str(tmp_path)
    with pytest.raises(NoDataset, match="There is no such folder"):
        open_dataset("voc21", tmp_path / "none")


def test_a_part_of_the_files_is_told_with_what_is_missing(tmp_path: Path) -> None:
    folder = write_voc(tmp_path, SCENES)
    for path in (folder / "SegmentationClass").iterdir():
        path.unlink()
    with pytest.raises(NoDataset, match="SegmentationClass/{id}.png is missing") as caught:
        open_dataset("voc21", tmp_path)
    assert "ImageSets/Segmentation/val.txt, JPEGImages/{id}.jpg" in caught.value.there
    assert str(caught.value.where) == str(folder)


def test_missing_masks_are_counted(tmp_path: Path) -> None:
    folder = write_voc(tmp_path, SCENES)
    for index in (0, 2):
        (folder / "SegmentationClass" / f"{voc_name(index)}.png").unlink()
    with pytest.raises(BadFile, match="2 images or masks of the split val are missing") as caught:
        open_dataset("voc21", tmp_path)
    assert f"Such as: SegmentationClass/{voc_name(0)}.png" in caught.value.there


def test_unknown_names_of_splits_and_layouts(tmp_path: Path) -> None:
    write_voc(tmp_path, SCENES)
    with pytest.raises(NoDataset, match="no split `vall` here") as caught:
        open_dataset("voc21", tmp_path, "vall")
    assert caught.value.fix == "Did you mean `val`?"
    with pytest.raises(NoDataset, match="no layout `devkid`") as caught:
        open_dataset("voc21", tmp_path, layout="devkid")
    assert caught.value.fix == "Did you mean `devkit`?"


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ([], "list of images is empty"),
        (["2007_000000", "2007_000001", "2007_000000"], "more than once: 2007_000000"),
        (["2007_000000", "../secret"], "`../secret` is not the name of an image"),
        (["2007_000000 1"], "`2007_000000 1` is not the name"),
    ],
)
def test_a_list_that_is_wrong(tmp_path: Path, lines: list[str], what: str) -> None:
    folder = write_voc(tmp_path, SCENES)
    save_list(folder / "ImageSets/Segmentation/val.txt", lines)
    with pytest.raises(BadFile, match=what):
        open_dataset("voc21", tmp_path)


def test_a_mask_that_was_converted_to_colours_or_grey_is_refused(tmp_path: Path) -> None:
    folder = write_voc(tmp_path, SCENES)
    first, *_ = open_dataset("voc21", folder).items
    mask = folder / "SegmentationClass" / f"{voc_name(0)}.png"
    indexed = PIL.Image.open(mask)
    indexed.convert("RGB").save(mask)
    with pytest.raises(BadFile, match="The mask is coloured"):
        first.read_truth()
    indexed.convert("L").save(mask)
    with pytest.raises(BadFile, match="numbers of no class"):
        first.read_truth()
    mask.write_bytes(mask.read_bytes()[:60])
    with pytest.raises(BadFile, match="The mask cannot be read"):
        first.read_truth()


def test_sizes_are_compared(tmp_path: Path) -> None:
    folder = write_ade(tmp_path, SCENES)
    item = open_dataset("ade20k", folder).items[0]
    image, truth = item.read_image(), item.read_truth()
    check_size(item, truth, image.size)
    with pytest.raises(BadFile, match="12 x 16 pixels, and the image 16 x 12") as caught:
        check_size(item, truth.T, image.size)
    assert "EXIF" in caught.value.fix
    with pytest.raises(BadFile, match="16 x 11 pixels, and the image 16 x 12"):
        check_size(item, truth[1:], image.size)


def test_items_are_small(tmp_path: Path) -> None:
    write_ade(tmp_path, SCENES)
    item = open_dataset("ade20k", tmp_path).items[0]
    assert not hasattr(item, "__dict__")
    assert sys.getsizeof(item) + sys.getsizeof(item.name) < 200


def test_some_layouts_may_be_named(tmp_path: Path) -> None:
    with pytest.raises(NoDataset, match="maps: .* mmsegmentation: ") as caught:
        open_dataset("coco_object", tmp_path, layout=("maps", "mmsegmentation"))
    assert "instances" not in str(caught.value)
    with pytest.raises(NoDataset, match="no layout `jsn`"):
        open_dataset("coco_stuff171", tmp_path, layout=("maps", "jsn"))
