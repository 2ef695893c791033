"""Rows of parquet files, and of data sets in the hub's form, are images with true masks."""

from __future__ import annotations

import io
import random
import sys
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pyarrow
import pyarrow.parquet
import pytest
from scenes import scene

from ovsskit.datasets import parquet_column
from ovsskit.datasets.hub import open_hub
from ovsskit.datasets.parquet import ParquetRows, open_parquet
from ovsskit.engine.rendering import Reading
from ovsskit.errors import BadClasses, BadFile, BadImage, MissingExtra, NoDataset

SCENES = [scene(index % 3, (index + 1) % 3, size=(6, 9 + index)) for index in range(23)]
LABELS = [labels for _, labels in SCENES]


def encoded(array: numpy.ndarray) -> bytes:
    held = io.BytesIO()
    PIL.Image.fromarray(array).save(held, "PNG")
    return held.getvalue()


def cells(arrays: list[numpy.ndarray], paths: bool = True) -> list[dict[str, Any]]:
    return [
        {"bytes": encoded(array), "path": f"photos/p{index}.png" if paths else None}
        for index, array in enumerate(arrays)
    ]


def table(**columns: Any) -> pyarrow.Table:
    found = {"image": cells([image for image, _ in SCENES]), "width": [9] * len(SCENES)}
    found["annotation"] = cells([numpy.where(one < 0, 255, one).astype("uint8") for one in LABELS])
    return pyarrow.table({**found, **columns})


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    path = tmp_path / "classes.txt"
    path.write_text("background\ndog\ncat\n")
    return path


@pytest.mark.parametrize("rows_in_group", [1, 5, 23, 100])
def test_rows_in_any_order(tmp_path: Path, classes: Path, rows_in_group: int) -> None:
    path = tmp_path / "photos.parquet"
    pyarrow.parquet.write_table(table(), path, row_group_size=rows_in_group)
    dataset = open_parquet(path, classes)
    assert [item.name for item in dataset.items] == [f"p{index}" for index in range(23)]
    order = [*range(23), *random.Random(1).sample(range(23), 23)]
    for index in order:
        assert numpy.array_equal(dataset.items[index].read_truth(), LABELS[index])
    image = dataset.items[7].read_image()
    assert numpy.array_equal(image.pixels.numpy(), SCENES[7][0])
    assert image.name == "p7"
    assert dataset.layout == "parquet, image:annotation"
    assert dataset.items[7].where == f"{path}, row 7"


def test_few_rows_are_in_memory_and_none_is_read_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photos.parquet"
    pyarrow.parquet.write_table(table(), path)
    began: list[int] = []
    begin = parquet_column.Column._begin

    def counted(self: Any, index: int, row: int) -> None:
        began.append(row)
        begin(self, index, row)

    monkeypatch.setattr(parquet_column.Column, "_begin", counted)
    rows = ParquetRows([path], "")
    for index in range(23):  # masks are read later than images, and not quite in order
        rows.cell(index, "image")
        rows.cell(max(index - 5, 0) ^ 1, "annotation")
        kept = [batch.num_rows for one in rows._cells.values() for _, batch in one._kept]
        assert sum(kept) <= 2 * parquet_column.BATCH * parquet_column.KEPT
    assert began == [0, 1]


def test_files_of_a_split(tmp_path: Path, classes: Path) -> None:
    whole, folder = table(), tmp_path / "data"
    folder.mkdir()
    pyarrow.parquet.write_table(whole[:10], folder / "validation-00000-of-00002.parquet")
    pyarrow.parquet.write_table(whole[10:], folder / "validation-00001-of-00002-0a1b2c.parquet")
    pyarrow.parquet.write_table(whole[:2], folder / "train.parquet")
    (folder / "extra").mkdir()
    pyarrow.parquet.write_table(whole[:3], folder / "extra" / "0000.parquet")
    dataset = open_parquet(tmp_path, classes)
    assert (dataset.split, len(dataset.items)) == ("validation", 23)
    assert numpy.array_equal(dataset.items[12].read_truth(), LABELS[12])
    assert dataset.items[12].where.endswith("0a1b2c.parquet, row 2")
    assert len(open_parquet(tmp_path, classes, "train").items) == 2
    assert len(open_parquet(tmp_path, classes, "extra").items) == 3
    with pytest.raises(NoDataset, match="There is no split `trian`") as caught:
        open_parquet(tmp_path, classes, "trian")
    assert caught.value.fix == "Did you mean `train`?"
    for path in folder.glob("validation*"):
        path.unlink()
    with pytest.raises(NoDataset, match="There are several splits") as caught:
        open_parquet(tmp_path, classes)
    assert caught.value.there == "Available: extra, train"


def test_columns_by_name(tmp_path: Path, classes: Path) -> None:
    path = tmp_path / "photos.parquet"
    whole = table().rename_columns(["photo", "width", "seg"])
    pyarrow.parquet.write_table(whole, path)
    assert len(open_parquet(path, classes, columns="photo:seg").items) == 23
    with pytest.raises(NoDataset, match="No column holds images") as caught:
        open_parquet(path, classes)
    assert caught.value.there == "Available: photo, width (no images), seg"
    with pytest.raises(NoDataset, match="No column `segs` holds the true masks") as caught:
        open_parquet(path, classes, columns="photo:segs")
    assert caught.value.fix == "Did you mean `seg`?"
    with pytest.raises(NoDataset, match="No column `width` holds the images"):
        open_parquet(path, classes, columns="width:seg")


def test_plain_bytes_and_doubled_names_are_numbered(tmp_path: Path, classes: Path) -> None:
    path = tmp_path / "photos.parquet"
    plain = [encoded(image) for image, _ in SCENES]
    pyarrow.parquet.write_table(table(image=plain), path)
    assert [item.name for item in open_parquet(path, classes).items][:2] == ["00", "01"]
    twice = [{**cell, "path": "a/p.jpg"} for cell in cells([image for image, _ in SCENES])]
    twice[3]["path"] = "a/q.jpg"
    pyarrow.parquet.write_table(table(image=twice), path)
    names = [item.name for item in open_parquet(path, classes).items]
    assert names[2:5] == ["02", "q", "04"]


def test_cells_that_are_wrong(tmp_path: Path, classes: Path) -> None:
    path = tmp_path / "photos.parquet"
    images, masks = (table().column(name).to_pylist() for name in ("image", "annotation"))
    images[0], images[1]["bytes"], images[2]["bytes"] = None, None, b""
    images[3]["bytes"] = images[3]["bytes"][:50]
    masks[0]["bytes"] = images[4]["bytes"]
    masks[1]["bytes"] = encoded(numpy.full((6, 10), 7, "uint8"))
    pyarrow.parquet.write_table(table(image=images, annotation=masks), path)
    items = open_parquet(path, classes).items
    with pytest.raises(BadFile, match="The row holds no image."):
        items[0].read_image()
    with pytest.raises(BadFile, match="The row holds no image, only the name of a file"):
        items[1].read_image()
    with pytest.raises(BadImage, match="The image is empty"):
        items[2].read_image()
    with pytest.raises(BadImage, match="The image is broken") as caught:
        items[3].read_image()
    assert str(caught.value.where) == f"{path}, row 3"
    with pytest.raises(BadImage, match="more than the 20 that are allowed"):
        items[5].read_image(Reading(20))
    with pytest.raises(BadFile, match="The mask is coloured") as caught:
        items[0].read_truth()
    assert str(caught.value.where) == f"{path}, row 0, column annotation"
    with pytest.raises(BadFile, match="numbers of no class: 7"):
        items[1].read_truth()


def test_files_that_are_wrong(tmp_path: Path, classes: Path) -> None:
    path = tmp_path / "photos.parquet"
    pyarrow.parquet.write_table(table(), path)
    with pytest.raises(BadClasses, match="Nothing says which classes"):
        open_parquet(path, None)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadFile, match="The parquet file cannot be read"):
        open_parquet(path, classes)
    with pytest.raises(NoDataset, match="There is no such file or folder"):
        open_parquet(tmp_path / "none.parquet", classes)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoDataset, match="The folder holds no parquet file"):
        open_parquet(tmp_path / "empty", classes)


def test_a_file_whose_data_is_broken(tmp_path: Path, classes: Path) -> None:
    path = tmp_path / "photos.parquet"
    pyarrow.parquet.write_table(table(), path, compression="zstd", row_group_size=5)
    items = open_parquet(path, classes).items
    content = bytearray(path.read_bytes())
    metadata = pyarrow.parquet.ParquetFile(path).metadata.row_group(2)
    for index in range(metadata.num_columns):
        chunk = metadata.column(index)
        start = chunk.data_page_offset
        content[start : start + 40] = b"\xff" * 40
    path.write_bytes(bytes(content))
    assert numpy.array_equal(items[0].read_truth(), LABELS[0])
    with pytest.raises(BadFile, match="The parquet file cannot be read"):
        items[11].read_truth()
    assert numpy.array_equal(items[1].read_truth(), LABELS[1])


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder in the form of a repository of the hub, with parquet files of two splits."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "scenes"
    (folder / "data").mkdir(parents=True)
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "width": datasets.Value("int64"),
            "annotation": datasets.Image(),
        }
    )
    found = datasets.Dataset.from_dict(table().to_pydict(), features=features)
    found.to_parquet(folder / "data" / "validation-00000-of-00001.parquet")
    found.select(range(3)).to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return folder


def test_a_data_set_in_the_form_of_the_hub(repository: Path, classes: Path) -> None:
    dataset = open_hub(str(repository), classes)
    assert (dataset.split, dataset.layout) == ("validation", "hub, image:annotation")
    assert [item.name for item in dataset.items] == [f"p{index}" for index in range(23)]
    for index in (5, 0, 22):
        assert numpy.array_equal(dataset.items[index].read_truth(), LABELS[index])
    assert numpy.array_equal(dataset.items[4].read_image().pixels.numpy(), SCENES[4][0])
    assert dataset.items[4].where == f"hf:{repository}, split validation, row 4"
    assert len(open_hub(str(repository), classes, "train").items) == 3
    with pytest.raises(NoDataset, match="There is no split `vall`"):
        open_hub(str(repository), classes, "vall")
    with pytest.raises(NoDataset, match="No column `photo` holds the images"):
        open_hub(str(repository), classes, columns="photo:annotation")


def test_a_file_of_classes_is_read_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(BadClasses, match="Nothing says which classes"):
        open_hub("owner/name", None)
    with pytest.raises(BadClasses, match="cannot be read: No such file"):
        open_hub("owner/name", tmp_path / "none.txt")


def test_what_is_not_there_is_told(tmp_path: Path, classes: Path) -> None:
    with pytest.raises(NoDataset, match="The data set cannot be loaded") as caught:
        open_hub(str(tmp_path / "none"), classes)
    assert str(caught.value.where) == f"hf:{tmp_path / 'none'}"


@pytest.mark.parametrize(
    ("package", "open_it"), [("pyarrow", open_parquet), ("datasets", open_hub)]
)
def test_a_missing_package(
    tmp_path: Path, classes: Path, monkeypatch: pytest.MonkeyPatch, package: str, open_it: Any
) -> None:
    path = tmp_path / "photos.parquet"
    pyarrow.parquet.write_table(table(), path)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet" if package == "pyarrow" else package, None)
    with pytest.raises(MissingExtra, match=f"needs the package `{package}`"):
        open_it(str(path), classes)
