from __future__ import annotations

from pathlib import Path

import numpy
import PIL.Image
import pytest
from finished_runs import CASES, MANY, finish_run, many_classes
from torchvision.datasets import VOCSegmentation

import ovsskit
from ovsskit.errors import BadValue


def test_torchvision_reads_the_masks(tmp_path: Path) -> None:
    masks = [mask for mask, names in CASES.values() if len(names) == 3]
    images = [tmp_path / f"image {number}.jpg" for number in range(len(masks))]
    for path, mask in zip(images, masks, strict=True):
        PIL.Image.new("RGB", mask.shape[::-1]).save(path)
    by_name = {path.stem: mask for path, mask in zip(images, masks, strict=True)}
    run = finish_run(tmp_path / "run", by_name, images=images)
    ovsskit.run_export(run, "pascal_voc", out=tmp_path / "out", images="copy")
    data = VOCSegmentation(tmp_path / "out", "2012", "val")
    assert len(data) == len(masks)
    for (image, found), mask in zip(data, masks, strict=True):
        assert image.size == mask.shape[::-1]
        assert numpy.array_equal(numpy.asarray(found), mask)


def test_numbers_are_in_a_row_and_the_palette_has_the_colours(tmp_path: Path) -> None:
    mask = numpy.array([[0, 7, 300]])
    run = finish_run(tmp_path / "run", {"a": mask}, {"dog": 7, "cat": 300})
    ovsskit.run_export(run, "pascal_voc", out=tmp_path / "out")
    root = tmp_path / "out/VOCdevkit/VOC2012"
    with PIL.Image.open(root / "SegmentationClass/a.png") as image:
        assert numpy.asarray(image).tolist() == [[0, 1, 2]]
        assert image.getpalette()[:3] == [0, 0, 0]
        assert len({tuple(one) for one in numpy.asarray(image.convert("RGB"))[0]}) == 3
    assert (root / "labels.txt").read_text() == "background\ndog\ncat\n"


@pytest.mark.parametrize("to", ["pascal_voc", "ultralytics_semantic"])
def test_too_many_classes_are_refused_and_some_can_be_chosen(to: str, tmp_path: Path) -> None:
    mask = many_classes()
    run = finish_run(tmp_path / "run", {"a": mask}, MANY)
    with pytest.raises(BadValue, match="hold 254 classes, but 300 are exported"):
        ovsskit.run_export(run, to, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    ovsskit.run_export(run, to, out=tmp_path / "out", classes=list(MANY[46:]))
    [path] = (tmp_path / "out").rglob("a.png")
    with PIL.Image.open(path) as image:
        assert numpy.array_equal(numpy.asarray(image), numpy.maximum(mask - 46, 0))
