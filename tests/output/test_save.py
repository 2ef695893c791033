from __future__ import annotations

import json
from pathlib import Path

import numpy
import PIL.Image
import pytest
import torch

from ovsskit.output.maps import Sheet
from ovsskit.output.own import RUN, OwnFolder, measure
from ovsskit.output.record import PictureRecord
from ovsskit.output.save import Finding, draw_confidence, save_finding, write_scores
from ovsskit.values import Logits, Probabilities
from ovsskit.vocabulary import make_vocabulary

VOCABULARY = make_vocabulary(["dog", "cat"], [5, 9])


def test_confidence_of_probabilities_is_absolute() -> None:
    maps = torch.tensor([[[0.25, 1.0]], [[0.75, 0.0]]])
    grey, ends = draw_confidence(Probabilities(maps, (1, 2)), (1, 2))
    assert ends == (0.0, 1.0)
    assert numpy.asarray(grey).tolist() == [[49151, 65535]]


def test_confidence_of_other_scores_says_its_range() -> None:
    maps = torch.tensor([[[-3.0, 1.0]], [[-2.0, 0.0]]])
    grey, ends = draw_confidence(Logits(maps, (1, 2)), (1, 2))
    assert ends == (-2.0, 1.0)
    assert numpy.asarray(grey).tolist() == [[0, 65535]]
    grey, ends = draw_confidence(Logits(torch.ones(1, 2, 2), (1,)), (4, 6))
    assert ends == (1.0, 1.0)
    assert numpy.asarray(grey).shape == (4, 6)
    step = Probabilities(torch.tensor([[[0.0, 1.0]]]), (1,))
    grey, _ = draw_confidence(step, (1, 4))
    assert numpy.asarray(grey).tolist() == [[0, 16384, 49151, 65535]]


def test_scores_come_back(tmp_path: Path) -> None:
    with (tmp_path / "one.npz").open("wb") as file:
        write_scores(file, Probabilities(torch.full((2, 3, 4), 0.5), (0, 2)), VOCABULARY)
    with numpy.load(tmp_path / "one.npz") as saved:
        assert saved["scores"].shape == (2, 3, 4)
        assert saved["scores"].dtype == numpy.float16
        assert (saved["ids"].tolist(), saved["names"].tolist()) == ([0, 9], ["background", "cat"])
        assert str(saved["kind"]) == "Probabilities"


@pytest.mark.parametrize("size", [(3, 4), (1, 1), (1, 3000)])
def test_all_files_of_a_picture(tmp_path: Path, size: tuple[int, int]) -> None:
    folder = OwnFolder(tmp_path, RUN)
    record = save_finding(
        folder,
        Finding(
            PictureRecord("a#b", "a#b.jpg"),
            numpy.zeros((*size, 3), "uint8"),
            numpy.full(size, 5),
            sheets=(Sheet("../../out", "Labels", 1, picture=PIL.Image.new("L", (1, 1))),),
        ),
        VOCABULARY,
    )
    folder.close()
    assert record.state == "done"
    assert record.size == size[::-1]
    assert record.areas == ((5, 1.0),)
    files = {
        path.relative_to(tmp_path).as_posix(): path
        for path in tmp_path.rglob("*")
        if path.is_file() and path.name != ".lock"
    }
    assert sorted(files) == [
        "gallery/layers/a#b.js",
        "gallery/pictures/a#b.jpg",
        "gallery/thumbs/a#b.jpg",
        "maps/a#b/01-_.._out-1.png",
        "masks/a#b.png",
        "overlays/a#b.jpg",
    ]
    assert record.files == {name: measure(path) for name, path in files.items()}
    assert PictureRecord.from_plain(json.loads(record.to_line())) == record
    assert PictureRecord.from_plain({"name": "a", "source": "b", "areas": [[5, 1.0]]}).areas == (
        (5, 1.0),
    )
