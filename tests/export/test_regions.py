"""Regions lie where their pixels do, and have the areas that these have on earth."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
import shapely
from finished_runs import block_mask, finish_run
from painted_rasters import NORTH_UP, UTM

from ovsskit.export.classes import choose_exported
from ovsskit.export.found import Found
from ovsskit.export.regions import Regions, find_regions
from ovsskit.run.finished import FinishedRun
from ovsskit.run.rasters.georeference import Georeference

PLACE = Georeference(rasterio.CRS.from_string(UTM), NORTH_UP)
MASK = block_mask([0, 1, 1], [2, 3, 1], [2, 2, 0])


def regions_of(
    tmp_path: Path,
    mask: numpy.ndarray,
    place: Georeference = PLACE,
    simplify: float = 0.0,
    **more: Any,
) -> Regions:
    tmp_path.mkdir(exist_ok=True)
    run = FinishedRun(finish_run(tmp_path / "run", {"a": mask}, **more))
    classes = choose_exported(run.vocabulary, None)
    return find_regions(Found(1, run.records[0], "a.png", run, classes), place, simplify, "A test")


@pytest.mark.parametrize("turn", [0, 30, 180], ids=["north up", "rotated", "south up"])
def test_regions_drawn_again_are_the_mask(tmp_path: Path, turn: float) -> None:
    transform = NORTH_UP * rasterio.Affine.rotation(turn)
    found = regions_of(tmp_path, MASK, Georeference(PLACE.crs, transform))
    pairs = list(zip(found.shapes, found.numbers.tolist(), strict=True))
    drawn = rasterio.features.rasterize(pairs, MASK.shape, transform=transform, dtype="int32")
    assert numpy.array_equal(drawn, MASK)
    assert len(pairs) == 3


def test_areas_are_those_on_the_ellipsoid(tmp_path: Path) -> None:
    """The area of a trapezium of degrees has a closed form (Snyder 1987, equation 3-12)."""

    def authalic(latitude: float) -> float:
        e, sine = 0.0818191908426, math.sin(math.radians(latitude))
        part = sine / (1 - e * e * sine * sine)
        return part - math.log((1 - e * sine) / (1 + e * sine)) / (2 * e)

    def area(south: float, north: float, degrees: float) -> float:
        a, e = 6378137.0, 0.0818191908426
        return a * a * (1 - e * e) / 2 * math.radians(degrees) * (authalic(north) - authalic(south))

    transform = rasterio.Affine(0.01, 0, 13.0, 0, -0.01, 60.0)
    mask = numpy.zeros((50, 40), "int32")
    mask[10:30, 5:25] = 1
    found = regions_of(tmp_path, mask, Georeference(rasterio.CRS.from_epsg(4326), transform))
    assert found.areas == pytest.approx([area(59.7, 59.9, 0.2)], rel=1e-6)


def test_confidences_are_the_means_of_the_pixels(tmp_path: Path) -> None:
    sure = numpy.random.default_rng(0).random(MASK.shape)
    found = regions_of(tmp_path, MASK, confidence={"a": sure})
    expected = [sure[number == MASK].mean() for number in found.numbers]
    assert found.confidences == pytest.approx(expected, abs=1e-4)
    assert regions_of(tmp_path / "b", MASK).confidences is None


def test_simplified_neighbours_share_their_lines(tmp_path: Path) -> None:
    down, across = numpy.mgrid[:200, :200]
    mask = numpy.full((200, 200), 1, "int32")
    mask[across > down * 0.7 + 20] = 2
    mask[(down - 150) ** 2 + (across - 60) ** 2 < 900] = 3
    exact = regions_of(tmp_path / "a", mask)
    found = regions_of(tmp_path / "b", mask, simplify=2.0)
    assert shapely.coverage_is_valid(found.shapes)
    assert shapely.get_num_coordinates(found.shapes).sum() < (
        shapely.get_num_coordinates(exact.shapes).sum() / 4
    )
    assert shapely.area(shapely.union_all(found.shapes)) == pytest.approx(200 * 200 * 0.25)
    assert shapely.area(found.shapes) == pytest.approx(shapely.area(exact.shapes), rel=0.02)
    assert numpy.array_equal(found.areas, exact.areas)


def test_without_regions_there_is_nothing(tmp_path: Path) -> None:
    sure = numpy.zeros((9, 9))
    empty = numpy.zeros((9, 9), "int32")
    found = regions_of(tmp_path, empty, simplify=1.0, confidence={"a": sure})
    assert [len(one) for one in (found.shapes, found.numbers, found.areas, found.confidences)] == [
        0
    ] * 4
