"""Tables of images and masks are measured as folders of them are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest

import ovsskit
from miniatures import save_grey
from ovsskit.errors import BadValue

CLASSES = "1 red\n2 green\n3 blue\n"
SHOWN = numpy.array([[[1, 2], [3, 3]], [[1, 1], [2, 2]]])
TRUE = numpy.array([[[1, 2], [3, 255]], [[1, 2], [2, 2]]])
"""Of 7 pixels that count, 6 are right: green is taken for red once."""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    import datasets

    from ovsskit.recipe.registry import load_plugin

    load_plugin(Path(__file__).parent.parent / "toy_stages.py")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    colours = numpy.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], "uint8")
    for index in range(2):
        for kind, drawn in (("photos", colours[SHOWN[index]]), ("truth", TRUE[index])):
            enlarged = drawn.repeat(8, 0).repeat(8, 1)
            save_grey(tmp_path / kind / f"{index}.png", enlarged)
    (tmp_path / "classes.txt").write_text(CLASSES)
    columns = {
        name: [{"bytes": path.read_bytes()} for path in sorted((tmp_path / kind).iterdir())]
        for name, kind in (("image", "photos"), ("label", "truth"))
    }
    features = datasets.Features({name: datasets.Image() for name in columns})
    file = tmp_path / "table" / "data" / "test-00000-of-00001.parquet"
    file.parent.mkdir(parents=True)
    datasets.Dataset.from_dict(columns, features=features).to_parquet(file)
    return {
        "folder": {"images": tmp_path / "photos", "truth": tmp_path / "truth"},
        "parquet": {"dataset": "parquet", "root": tmp_path / "table"},
        "hub": {"dataset": f"hf:{tmp_path / 'table'}"},
    }


def test_all_give_the_count_by_hand(places: dict[str, Any], tmp_path: Path) -> None:
    toy = Path(__file__).parent.parent / "toy.toml"
    for name, where in places.items():
        out, classes = tmp_path / "out" / name, tmp_path / "classes.txt"
        record = ovsskit.run_eval(toy, out=out, truth_classes=classes, **where)
        assert record["images"]["left_out"] == 0
        found = {one["name"]: one["iou"] for one in record["classes"]}
        assert found == pytest.approx({"red": 2 / 3, "green": 3 / 4, "blue": 1}), name


def test_parquet_files_lie_somewhere(places: dict[str, Any], tmp_path: Path) -> None:
    toy = Path(__file__).parent.parent / "toy.toml"
    with pytest.raises(BadValue, match="Nothing says where the data set is"):
        ovsskit.run_eval(toy, dataset="parquet", truth_classes=tmp_path / "classes.txt")
