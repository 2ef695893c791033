from __future__ import annotations

from pathlib import Path

import cv2
import numpy
import pytest
import supervision
import yaml
from finished_runs import CASES, MANY, block_mask, finish_run, many_classes, one_pixel
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

import ovsskit
from ovsskit.export.formats.yolo_seg import find_outlines, inner_corners

TOUCHING = numpy.ones((3, 3))
"""Regions touch at corners, too."""


def filled(mask: numpy.ndarray) -> numpy.ndarray:
    """Return a mask in which the holes of every region are filled."""
    regions, count = ndimage.label(mask, TOUCHING)
    whole = numpy.zeros(mask.shape, bool)
    for number in range(1, count + 1):
        whole |= ndimage.binary_fill_holes(regions == number)
    return whole


def drawn(text: str, height: int, width: int) -> dict[int, numpy.ndarray]:
    """Draw lines as ultralytics does: coordinates in pixels, their fractions cut off."""
    masks: dict[int, numpy.ndarray] = {}
    for line in text.splitlines():
        place, *numbers = line.split()
        assert len(numbers) >= 6  # fewer are taken for a box
        corners = numpy.array(numbers, "float32").reshape(-1, 2) * (width, height)
        mask = masks.setdefault(int(place), numpy.zeros((height, width), "uint8"))
        cv2.fillPoly(mask, [corners.astype("int32")], 1)
    return masks


@pytest.mark.parametrize("case", CASES)
def test_supervision_reads_the_regions(case: str, tmp_path: Path) -> None:
    mask, names = CASES[case]
    run = finish_run(tmp_path / "run", {"a": mask}, names)
    out = tmp_path / "out"
    record = ovsskit.run_export(run, "yolo_seg", out=out, images="copy")
    data = supervision.DetectionDataset.from_yolo(
        str(out / "images/train"), str(out / "labels/train"), str(out / "data.yaml"), True
    )
    assert data.classes == list(names)
    [(_, _, found)] = list(data)
    lost = 0
    for place in range(len(names)):
        chosen = found[found.class_id == place] if len(found) else found
        whole = chosen.mask.any(0) if len(chosen) else numpy.zeros(mask.shape, bool)
        true = mask == place + 1
        assert numpy.array_equal(whole, filled(true))
        lost += (whole & ~true).sum()
    assert record["losses"].get("pixels filled in holes", 0) == lost
    assert (case == "holes") == bool(lost)


def test_holes_are_counted(tmp_path: Path) -> None:
    ring = block_mask([1, 1, 1], [1, 0, 1], [1, 1, 1])
    pair = numpy.concatenate([ring, ring], 1)
    run = finish_run(tmp_path / "run", {"a": ring, "b": pair, "c": one_pixel()})
    record = ovsskit.run_export(run, "yolo_seg", out=tmp_path / "out")
    assert record["losses"] == {"holes filled": 3, "pixels filled in holes": 27}
    again = ovsskit.run_export(run, "yolo_seg", out=tmp_path / "out")
    assert again["losses"] == record["losses"]


def test_more_than_255_classes(tmp_path: Path) -> None:
    mask = many_classes()
    run = finish_run(tmp_path / "run", {"a": mask}, MANY)
    ovsskit.run_export(run, "yolo_seg", out=tmp_path / "out")
    found = drawn((tmp_path / "out/labels/train/a.txt").read_text(), *mask.shape)
    assert len(found) == 300
    assert all(numpy.array_equal(one > 0, mask == place + 1) for place, one in found.items())
    names = yaml.safe_load((tmp_path / "out/data.yaml").read_text())["names"]
    assert names == dict(enumerate(MANY))


def test_a_huge_image(tmp_path: Path) -> None:
    mask = numpy.zeros((5000, 6000), "int32")
    mask[10:4900, 20:5990], mask[4999, 5999] = 1, 2
    run = finish_run(tmp_path / "run", {"a": mask})
    ovsskit.run_export(run, "yolo_seg", out=tmp_path / "out")
    found = drawn((tmp_path / "out/labels/train/a.txt").read_text(), *mask.shape)
    assert all(numpy.array_equal(one > 0, mask == place + 1) for place, one in found.items())


@given(arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_outlines_cover_just_the_mask_with_its_holes_filled(mask: numpy.ndarray) -> None:
    if not mask.any():
        return
    outlines, holes = find_outlines(mask.astype("uint8"))
    cut, rounded = (numpy.zeros(mask.shape, "uint8") for _ in range(2))
    for outline in outlines:
        corners = inner_corners(outline)
        assert len({tuple(corner) for corner in corners.tolist()}) >= 3
        cv2.fillPoly(cut, [corners.astype("int32")], 1)
        cv2.fillPoly(rounded, [corners.round().astype("int32")], 1)
    assert numpy.array_equal(cut > 0, filled(mask))
    assert numpy.array_equal(rounded, cut)
    assert bool(holes) >= (not numpy.array_equal(filled(mask), mask))
