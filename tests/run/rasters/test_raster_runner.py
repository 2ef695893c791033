"""Windows make a whole: labels do not depend on where a raster ends, nor on interruptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pytest
import rasterio
from painted_rasters import NORTH_UP, UTM, patches, write_raster
from toy_stages import ToyColours, ToyLabels, ToySoftmax

from ovsskit.engine.rendering import PLAIN, Rendering
from ovsskit.engine.stage import Batch
from ovsskit.engine.values import Image, Saliency, Vocabulary
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.output.folder import OutputFolder
from ovsskit.run.output.record import Costs, ImageRecord
from ovsskit.run.pipeline import Pipeline
from ovsskit.run.rasters.grid import WindowSize, lay_grid
from ovsskit.run.rasters.raster_runner import RasterRunner
from ovsskit.run.rasters.source import reading
from ovsskit.run.runner import final_labels

WINDOWS = WindowSize(64, 16)
WORDS = ["red", "green", "blue"]
SEEN: list[Image] = []


class Colours(ToyColours, writes="scores"):  # type: ignore[call-arg]
    """Count the windows."""

    def run_batch(self, image: Batch[Image], vocabulary: Batch[Vocabulary]) -> Batch[Saliency]:
        SEEN.extend(image)
        return super().run_batch(image, vocabulary)


class Relative(Colours, writes="scores"):  # type: ignore[call-arg]
    """Score colours against the mean of all that is seen, so that labels depend on the window."""

    def run_batch(self, image: Batch[Image], vocabulary: Batch[Vocabulary]) -> Batch[Saliency]:
        found = super().run_batch(image, vocabulary)
        return [one.with_data(one.data - one.data.mean((1, 2), keepdim=True)) for one in found]


class Stops(Relative, writes="scores"):  # type: ignore[call-arg]
    """Stop at the tenth window."""

    def run_batch(self, image: Batch[Image], vocabulary: Batch[Vocabulary]) -> Batch[Saliency]:
        if len(SEEN) >= 9:
            raise KeyboardInterrupt
        return super().run_batch(image, vocabulary)


def run(
    path: Path,
    out: Path,
    stage: ToyColours | None = None,
    *,
    saved: frozenset[str] = frozenset(),
    rendering: Rendering = PLAIN,
    windows: WindowSize = WINDOWS,
    ids: list[int] = [],  # noqa: B006
) -> ImageRecord:
    SEEN.clear()
    vocabulary = make_vocabulary(WORDS, ids)
    pipeline = Pipeline.of(
        [stage or Relative(), ToySoftmax(), ToyLabels()], vocabulary=vocabulary, batch=1
    )
    folder = OutputFolder(out, {})
    told: list[tuple[int, int]] = []
    try:
        todo = folder.add([path], saved, [], rasters=[path])
        folder.save(Costs())
        runner = RasterRunner(
            pipeline,
            folder,
            vocabulary,
            windows,
            False,
            tell=lambda _: None,
            tell_window=lambda record, done, total: told.append((done, total)),
            rendering=rendering,
        )
        runner.run(todo)
        [record] = folder.records.values()
    finally:
        folder.close()
    if record.state == "done":
        total = told[-1][1]
        assert told == [(number, total) for number in range(1, total + 1)]
    return record


def read(path: Path) -> Any:
    with rasterio.open(path) as file:
        return file.read(1)


def test_a_part_has_the_labels_of_the_whole_away_from_its_edges(tmp_path: Path) -> None:
    data = patches(400, 500)
    whole = run(write_raster(tmp_path / "whole.tif", data), tmp_path / "whole")
    assert whole.size == (500, 400)
    expected = read(tmp_path / "whole/masks/whole.tif")
    for top, left, height, width in ((37, 91, 300, 333), (0, 0, 200, 211), (150, 288, 250, 212)):
        moved = NORTH_UP * rasterio.Affine.translation(left, top)
        cut = data[:, top : top + height, left : left + width]
        path = write_raster(tmp_path / f"cut{top}.tif", cut, transform=moved)
        run(path, tmp_path / f"out{top}")
        found = read(tmp_path / f"out{top}/masks/cut{top}.tif")
        inside = slice(WINDOWS.side, -WINDOWS.side)
        same = expected[top : top + height, left : left + width]
        assert numpy.array_equal(found[inside, inside], same[inside, inside])
        assert len(numpy.unique(found[inside, inside])) > 1
    elsewhere = NORTH_UP * rasterio.Affine.translation(7, 11)
    run(write_raster(tmp_path / "moved.tif", data, transform=elsewhere), tmp_path / "moved")
    moved_mask = read(tmp_path / "moved/masks/moved.tif")
    assert not numpy.array_equal(moved_mask, expected)  # the windows do matter here


def test_a_flat_scene_has_no_seams(tmp_path: Path) -> None:
    data = numpy.zeros((3, 300, 280), "uint8")
    data[1] = 200
    path = write_raster(tmp_path / "flat.tif", data)
    run(path, tmp_path / "out", Colours())
    assert numpy.unique(read(tmp_path / "out/masks/flat.tif")).tolist() == [2]


def test_neighbours_differ_less_along_the_seams_than_along_straight_ones(tmp_path: Path) -> None:
    noise = numpy.random.default_rng(0).integers(0, 255, (3, 150, 150), "uint8")
    path = write_raster(tmp_path / "a.tif", noise)
    record = run(path, tmp_path / "out")
    vocabulary, windows = make_vocabulary(WORDS), {}
    pipeline = Pipeline.of([Relative(), ToySoftmax(), ToyLabels()], vocabulary=vocabulary, batch=1)
    with reading(path, PLAIN) as source:
        grid = lay_grid(source.size, source.georeference.anchor, WINDOWS)
        for window in grid:
            [state] = pipeline.run_many([source.read(window)], vocabulary)
            windows[window] = final_labels(state, window.size)
    differing = []
    for window in grid:
        rows, columns = window
        for other in grid:
            down, right = other
            if (down.first, right.first) == (rows.last, columns.first):
                first = windows[other][down.first - down.start, other.inner[1]]
                past = windows[window][rows.last - rows.start :, window.inner[1]][:1]
            elif (down.first, right.first) == (rows.first, columns.last):
                first = windows[other][other.inner[0], right.first - right.start]
                past = windows[window][window.inner[0], columns.last - columns.start :][:, :1]
            else:
                continue
            assert past.size
            differing += (first != past.ravel()).tolist()
    straight = 100 * numpy.mean(differing)
    [note] = [one for one in record.notes if one.endswith("% of the seams")]
    share = float(note.removeprefix("neighbouring windows differ along ").split()[0])
    assert 0 <= share < straight


def test_without_overlap_nothing_is_known_of_seams(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", patches(150, 150))
    record = run(path, tmp_path / "out", Colours(), windows=WindowSize(64, 0))
    assert record.notes == ("run in 9 windows of 64 x 64 pixels",)


def test_labels_of_single_pixels_come_from_their_own_place(tmp_path: Path) -> None:
    data = patches(230, 310, seed=4)
    run(write_raster(tmp_path / "a.tif", data), tmp_path / "out", Colours())
    assert numpy.array_equal(read(tmp_path / "out/masks/a.tif"), data.argmax(0) + 1)


def test_pixels_without_a_number_are_void_and_empty_windows_are_skipped(tmp_path: Path) -> None:
    data = patches(300, 300).astype("int16") + 1
    data[:, 100:, :200] = -999
    path = write_raster(tmp_path / "a.tif", data, nodata=-999)
    fixed = Rendering((1.0, 256.0))
    record = run(
        path, tmp_path / "out", Colours(), saved=frozenset({"confidence"}), rendering=fixed
    )
    with rasterio.open(tmp_path / "out/masks/a.tif") as file:
        assert file.nodata == 255
        mask = file.read(1)
    missing = data[0] == -999
    assert numpy.array_equal(mask == 255, missing)
    assert numpy.array_equal(mask[~missing], (data.argmax(0) + 1)[~missing])
    assert 20 < len(SEEN) < 49
    skipped = 49 - len(SEEN)
    assert record.notes == (
        "numbers from 1 to 256 became black to white (as named)",
        f"run in 49 windows of 64 x 64 pixels, {skipped} of them without any number",
        "neighbouring windows differ along 0.0 % of the seams",
        "40,000 pixels have no value, and are 255 in the mask",
    )
    assert dict(record.areas)[0] == pytest.approx(40000 / 90000, abs=1e-6)
    confidence = read(tmp_path / "out/confidence/a.tif")
    assert numpy.array_equal(numpy.isnan(confidence), missing)
    assert record.confidence == (confidence[~missing].min(), confidence[~missing].max())


def test_a_raster_without_any_number_is_void(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", numpy.full((1, 90, 90), numpy.nan, "float32"))
    saved = frozenset({"confidence"})
    record = run(path, tmp_path / "out", saved=saved, rendering=Rendering("none"))
    assert (record.state, record.areas, record.confidence) == ("done", ((0, 1.0),), (0, 0))
    assert numpy.unique(read(tmp_path / "out/masks/a.tif")).tolist() == [255]
    assert SEEN == []


@pytest.mark.parametrize(
    ("ids", "void", "kind"),
    [([1, 2, 255], 254, "uint8"), ([7, 8, 9], 255, "uint8"), ([1, 2, 300], 65535, "uint16")],
)
def test_void_is_a_number_of_no_class(tmp_path: Path, ids: list[int], void: int, kind: str) -> None:
    data = patches(70, 70)
    data[:, :9] = 0
    path = write_raster(tmp_path / "a.tif", data, nodata=0)
    run(path, tmp_path / "out", Colours(), ids=ids)
    with rasterio.open(tmp_path / "out/masks/a.tif") as file:
        assert (file.nodata, file.dtypes) == (void, (kind,))
        assert {*numpy.unique(file.read(1)).tolist()} == {*ids, void}


def test_a_raster_that_was_stopped_goes_on_with_the_windows_that_are_left(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", patches(300, 300))
    run(path, tmp_path / "whole")
    assert len(SEEN) == 49
    with pytest.raises(KeyboardInterrupt):
        run(path, tmp_path / "out", Stops())
    tiles = sorted((tmp_path / "out/windows/a").rglob("*.npz"))
    assert len(tiles) == 9
    tiles[3].write_bytes(tiles[3].read_bytes()[:200])  # what a power cut may leave
    run(path, tmp_path / "out")
    assert len(SEEN) == 49 - 8
    expected = read(tmp_path / "whole/masks/a.tif")
    assert numpy.array_equal(read(tmp_path / "out/masks/a.tif"), expected)
    assert not (tmp_path / "out/windows").exists()


def test_windows_of_a_raster_that_has_changed_are_done_again(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", patches(300, 300))
    with pytest.raises(KeyboardInterrupt):
        run(path, tmp_path / "out", Stops())
    write_raster(path, patches(300, 310, seed=8))
    run(path, tmp_path / "out", Colours())
    assert read(tmp_path / "out/masks/a.tif").shape == (300, 310)
    assert not (tmp_path / "out/windows").exists()


def test_a_window_that_fails_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", patches(130, 130), tiled=True, blockxsize=64,
                        blockysize=64, compress="deflate")  # fmt: skip
    content = bytearray(path.read_bytes())
    content[-60:] = bytes(60)  # the last block of blue
    path.write_bytes(content)
    record = run(path, tmp_path / "out", Colours())
    assert record.state == "failed"
    assert record.reason.startswith("The window at row ")
    assert "cannot be read" in record.reason
    assert len(list((tmp_path / "out/windows/a").rglob("*.npz"))) > 0


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"crs": None},
        {"transform": NORTH_UP * rasterio.Affine.rotation(30)},
        {"transform": rasterio.Affine(0.5, 0, 3.25, 0, 0.5, 8.0)},
        {"crs": "EPSG:4326", "transform": rasterio.Affine(9e-6, 0, 13.4, 0, -9e-6, 52.5)},
    ],
    ids=["north up", "without a coordinate system", "rotated", "south up", "degrees"],
)
def test_the_mask_lies_where_the_raster_does(tmp_path: Path, facts: dict[str, Any]) -> None:
    path = write_raster(tmp_path / "a.tif", patches(140, 120), **facts)
    run(path, tmp_path / "out", Colours())
    with rasterio.open(path) as source, rasterio.open(tmp_path / "out/masks/a.tif") as mask:
        assert mask.crs == source.crs
        assert mask.transform.almost_equals(source.transform)
        assert (mask.shape, mask.count, mask.nodata) == (source.shape, 1, 255)
        assert mask.profile["tiled"]
        assert mask.profile["compress"] == "deflate"
        assert mask.colormap(1)[2][:3] == make_vocabulary(WORDS).colours[2]
        names = {key: name for key, name in mask.tags(1).items() if key.startswith("CLASS_")}
        assert names == {
            "CLASS_0": "background", "CLASS_1": "red", "CLASS_2": "green", "CLASS_3": "blue",
        }  # fmt: skip


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_control_points_are_kept(tmp_path: Path) -> None:
    points = [
        rasterio.control.GroundControlPoint(row, column, 5e5 + column, 5e6 - row)
        for row, column in ((0, 0), (0, 90), (90, 0), (90, 90))
    ]
    path = tmp_path / "a.tif"
    data = patches(90, 90)
    with rasterio.open(
        path, "w", driver="GTiff", height=90, width=90, count=3, dtype="uint8", photometric="rgb"
    ) as file:
        file.write(data)
        file.gcps = (points, rasterio.CRS.from_string(UTM))
    run(path, tmp_path / "out", Colours())
    with rasterio.open(tmp_path / "out/masks/a.tif") as mask:
        found, crs = mask.gcps
    assert crs == rasterio.CRS.from_string(UTM)
    assert [(one.row, one.col, one.x, one.y) for one in found] == [
        (one.row, one.col, one.x, one.y) for one in points
    ]


def test_a_large_raster_is_shown_reduced(tmp_path: Path) -> None:
    data = numpy.repeat(numpy.repeat(patches(40, 100), 50, 1), 50, 2)
    windows = WindowSize(1024, 128)
    path = write_raster(tmp_path / "a.tif", data)
    record = run(path, tmp_path / "out", Colours(), windows=windows)
    assert record.size == (5000, 2000)
    with PIL.Image.open(tmp_path / "out/overlays/a.jpg") as image:
        assert image.width == 1667  # a third, which is less than 2048
    share = (data.argmax(0) == 0).mean()
    assert dict(record.areas)[1] == pytest.approx(share, abs=1e-6)
