from __future__ import annotations

from pathlib import Path

import numpy
import PIL.Image
import pytest
import torch

from ovsskit.output.record import PictureRecord
from ovsskit.output.save import Finding, save_finding, write_confidence, write_scores
from ovsskit.values import Logits, Probabilities
from ovsskit.vocabulary import make_vocabulary

VOCABULARY = make_vocabulary(["dog", "cat"], [5, 9])


def test_confidence_of_probabilities_is_absolute(tmp_path: Path) -> None:
    maps = torch.tensor([[[0.25, 1.0]], [[0.75, 0.0]]])
    assert write_confidence(tmp_path / "one.png", Probabilities(maps, (1, 2)), (1, 2)) == (0.0, 1.0)
    assert numpy.asarray(PIL.Image.open(tmp_path / "one.png")).tolist() == [[49151, 65535]]


def test_confidence_of_other_scores_says_its_range(tmp_path: Path) -> None:
    maps = torch.tensor([[[-3.0, 1.0]], [[-2.0, 0.0]]])
    assert write_confidence(tmp_path / "one.png", Logits(maps, (1, 2)), (1, 2)) == (-2.0, 1.0)
    assert numpy.asarray(PIL.Image.open(tmp_path / "one.png")).tolist() == [[0, 65535]]
    assert write_confidence(tmp_path / "two.png", Logits(torch.ones(1, 2, 2), (1,)), (4, 6)) == (
        1.0,
        1.0,
    )
    assert numpy.asarray(PIL.Image.open(tmp_path / "two.png")).shape == (4, 6)


def test_scores_come_back(tmp_path: Path) -> None:
    write_scores(
        tmp_path / "one.npz", Probabilities(torch.full((2, 3, 4), 0.5), (0, 2)), VOCABULARY
    )
    with numpy.load(tmp_path / "one.npz") as saved:
        assert saved["scores"].shape == (2, 3, 4)
        assert saved["scores"].dtype == numpy.float16
        assert (saved["ids"].tolist(), saved["names"].tolist()) == ([0, 9], ["background", "cat"])
        assert str(saved["kind"]) == "Probabilities"


@pytest.mark.parametrize("size", [(3, 4), (1, 1), (1, 3000)])
def test_all_files_of_a_picture(tmp_path: Path, size: tuple[int, int]) -> None:
    labels = numpy.full(size, 5)
    record = save_finding(
        tmp_path,
        Finding(PictureRecord("a#b", "a#b.jpg"), numpy.zeros((*size, 3), "uint8"), labels),
        VOCABULARY,
    )
    assert record.state == "done"
    assert record.size == size[::-1]
    assert record.areas == ((5, 1.0),)
    files = sorted(
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()
    )
    gallery = ["gallery/layers/a#b.js", "gallery/pictures/a#b.jpg", "gallery/thumbs/a#b.jpg"]
    assert files == [*gallery, "masks/a#b.png", "overlays/a#b.jpg"]
    assert PictureRecord.from_plain({"name": "a", "source": "b", "areas": [[5, 1.0]]}).areas == (
        (5, 1.0),
    )
