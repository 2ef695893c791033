from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy
import PIL.Image
import pytest
from finished_runs import CASES, MANY, finish_run, many_classes

import ovsskit
from ovsskit.errors import BadValue


def read(path: Path) -> tuple[list[str], dict[str, numpy.ndarray]]:
    """Return names of classes and masks as CVAT's documentation says that they are read."""
    with zipfile.ZipFile(path) as archive:
        names, colours = [], {}
        for line in archive.read("labelmap.txt").decode().splitlines():
            if not line.startswith("#"):
                name, colour, parts, actions = line.split(":")
                assert (parts, actions) == ("", "")
                colours[tuple(map(int, colour.split(",")))] = len(names)
                names.append(name)
        listed = archive.read("ImageSets/Segmentation/default.txt").decode().splitlines()
        masks = {}
        for image in listed:
            content = io.BytesIO(archive.read(f"SegmentationClass/{image}.png"))
            pixels = numpy.asarray(PIL.Image.open(content))
            rows = pixels.reshape(-1, 3).tolist()
            numbers = [colours[tuple(pixel)] for pixel in rows]
            masks[image] = numpy.array(numbers).reshape(pixels.shape[:2])
    return names, masks


@pytest.mark.parametrize("case", [*CASES, "many"])
def test_colours_stand_for_the_classes_of_the_mask(case: str, tmp_path: Path) -> None:
    mask, classes = CASES[case] if case in CASES else (many_classes(), MANY)
    run = finish_run(tmp_path / "run", {"an image": mask}, classes)
    ovsskit.run_export(run, "cvat", out=tmp_path / "out")
    names, masks = read(tmp_path / "out/cvat.zip")
    assert names == ["background", *classes]
    assert numpy.array_equal(masks["an image"], mask)


def test_images_that_cvat_cannot_tell_apart_are_named(tmp_path: Path) -> None:
    mask = CASES["one pixel"][0]
    images = [tmp_path / "x.png", tmp_path / "x.bmp"]
    for path in images:
        PIL.Image.new("L", mask.shape[::-1]).save(path)
    run = finish_run(tmp_path / "run", {"a": mask, "b": mask}, images=images)
    with pytest.raises(BadValue, match=r"CVAT cannot tell .*x.bmp. and .*x.png. apart"):
        ovsskit.run_export(run, "cvat", out=tmp_path / "out")
    ovsskit.run_export(run, "cvat", out=tmp_path / "copies", images="copy")
    assert len(read(tmp_path / "copies/cvat.zip")[1]) == 2
