from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pytest
import torch

from ovsskit.engine.values import Logits, Probabilities, Vocabulary
from ovsskit.files.own.kinds import RUN
from ovsskit.files.own.own_folder import OwnFolder
from ovsskit.files.own.written import measure
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.output.maps import Sheet
from ovsskit.run.output.record import ImageRecord
from ovsskit.run.output.save import Prediction, draw_confidence, save_prediction, write_scores

VOCABULARY = make_vocabulary(["dog", "cat"], [5, 9])


def saved(
    path: Path,
    labels: Any,
    vocabulary: Vocabulary = VOCABULARY,
    wanted: Sequence[str] = (),
    **more: Any,
) -> ImageRecord:
    """Save what was found in a black image that is called x."""
    folder = OwnFolder(path, RUN)
    try:
        record = ImageRecord("x", "x.jpg", saved=tuple(wanted))
        pixels = numpy.zeros((*labels.shape, 3), "uint8")
        return save_prediction(folder, Prediction(record, pixels, labels, **more), vocabulary)
    finally:
        folder.close()


def layer(path: Path) -> dict[str, Any]:
    """Return what the gallery's script of an image holds."""
    text = (path / "gallery" / "layers" / "x.js").read_text()
    found: dict[str, Any] = json.loads(text.removeprefix("show(").removesuffix(");\n"))
    return found


def test_confidence_of_probabilities_is_absolute() -> None:
    maps = torch.tensor([[[0.25, 1.25]], [[0.75, 0.0]]])
    grey, ends = draw_confidence(Probabilities(maps, (1, 2)), (1, 2))
    assert ends == (0.0, 1.0)
    assert numpy.asarray(grey).tolist() == [[49151, 65535]]


def test_confidence_of_other_scores_says_its_range() -> None:
    maps = torch.tensor([[[-3.0, 1.0, -4.0]], [[-2.0, 0.0, -0.5]]])
    grey, ends = draw_confidence(Logits(maps, (1, 2)), (1, 3))
    assert ends == (-2.0, 1.0)
    assert numpy.asarray(grey).tolist() == [[0, 65535, 32768]]
    grey, ends = draw_confidence(Logits(torch.ones(1, 2, 2), (1,)), (4, 6))
    assert ends == (1.0, 1.0)
    assert numpy.asarray(grey).tolist() == [[0] * 6] * 4
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
def test_all_files_of_an_image(tmp_path: Path, size: tuple[int, int]) -> None:
    folder = OwnFolder(tmp_path, RUN)
    record = save_prediction(
        folder,
        Prediction(
            ImageRecord("a#b", "a#b.jpg"),
            numpy.zeros((*size, 3), "uint8"),
            numpy.full(size, 5),
            sheets=(Sheet("../../out", "Labels", 1, image=PIL.Image.new("L", (1, 1))),),
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
        "gallery/images/a#b.jpg",
        "gallery/layers/a#b.js",
        "gallery/thumbs/a#b.jpg",
        "maps/a#b/01-_.._out-1.png",
        "masks/a#b.png",
        "overlays/a#b.jpg",
    ]
    assert record.files == {name: measure(path) for name, path in files.items()}
    assert ImageRecord.from_plain(json.loads(record.to_line())) == record
    assert ImageRecord.from_plain({"name": "a", "source": "b", "areas": [[5, 1.0]]}).areas == (
        (5, 1.0),
    )


@pytest.mark.parametrize("has_scores", [False, True])
@pytest.mark.parametrize("wanted", [(), ("confidence",), ("scores",), ("confidence", "scores")])
def test_only_what_is_wanted_is_saved(
    tmp_path: Path, wanted: tuple[str, ...], has_scores: bool
) -> None:
    scores = Probabilities(torch.rand(1, 2, 2), (1,)) if has_scores else None
    record = saved(tmp_path, numpy.full((4, 4), 5), wanted=wanted, scores=scores)
    due = set(wanted if has_scores else ())
    assert {name.split("/")[0] for name in record.files} & {"confidence", "scores"} == due
    assert record.confidence == ((0.0, 1.0) if "confidence" in due else None)


def test_the_gallery_ranks_255_classes_beside_the_first(tmp_path: Path) -> None:
    labels = numpy.arange(301).reshape(7, 43)
    record = saved(tmp_path, labels, make_vocabulary([f"class {index}" for index in range(300)]))
    assert record.areas[300] == (300, 0.003322)
    packed = zlib.decompress(base64.b64decode(layer(tmp_path)["ranks"]))
    assert [*packed] == [*range(256), *[0] * 45]


def test_the_gallery_has_what_every_stage_wrote(tmp_path: Path) -> None:
    drawn = PIL.Image.new("L", (2, 3))
    sheets = (Sheet("a b", "Labels", 4, drawn), Sheet("caption", "Captions", 1, text="A cat."))
    record = saved(tmp_path, numpy.full((4, 4), 5), sheets=sheets)
    assert layer(tmp_path)["maps"] == [
        {"stage": "a b", "kind": "Labels", "round": 4, "text": "", "file": "01-a-b-4.png"},
        {"stage": "caption", "kind": "Captions", "round": 1, "text": "A cat."},
    ]
    assert [name for name in record.files if name.startswith("maps/")] == ["maps/x/01-a-b-4.png"]


@pytest.mark.parametrize(
    ("name", "side", "quality"),
    [("gallery/images", 1280, 88), ("gallery/thumbs", 360, 85), ("overlays", 2048, 92)],
)
def test_images_are_of_a_size_and_quality(
    tmp_path: Path, name: str, side: int, quality: int
) -> None:
    saved(tmp_path, numpy.full((2500, 20), 5))
    plain = BytesIO()
    PIL.Image.new("RGB", (8, 8)).save(plain, "JPEG", quality=quality, subsampling=0)
    with PIL.Image.open(tmp_path / name / "x.jpg") as image, PIL.Image.open(plain) as like:
        assert image.height == side
        assert (image.quantization, image.layer) == (like.quantization, like.layer)  # type: ignore[attr-defined]
