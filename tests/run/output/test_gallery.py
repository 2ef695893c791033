from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ovsskit.files.own.kinds import RUN
from ovsskit.files.own.own_folder import OwnFolder
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.output.gallery import write_classes, write_gallery
from ovsskit.run.output.record import ImageRecord
from ovsskit.run.output.records import Records

RECORDS = [
    ImageRecord("a", "a </script>.jpg", "done", size=(4, 3), areas=((1, 0.75), (0, 0.25))),
    ImageRecord("b", "/photos/<b>.jpg", "failed", "The file is <empty>."),
    ImageRecord("c", "c.jpg"),
]


def held(records: list[ImageRecord]) -> Records:
    found = Records()
    for record in records:
        found[record.name] = record
    return found


def images_of(page: Path) -> list[dict[str, Any]]:
    found = re.fullmatch(r"page\(\d+, (.*)\);\n", page.read_text(encoding="utf-8"))
    assert found
    return json.loads(found[1])


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[OwnFolder]:
    own = OwnFolder(tmp_path, RUN)
    yield own
    own.close()


def test_the_gallery_needs_nothing_from_elsewhere(folder: OwnFolder) -> None:
    words = make_vocabulary(["dog <b>"])
    files = write_gallery(folder, "dogs & cats", ["3 images"], held(RECORDS), words)
    assert files.keys() == {"index.html", "gallery/pages/000000.js"}
    text = (folder.path / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r"(?:https?:)?//[a-z]", text)
    assert "<title>dogs &amp; cats" in text
    assert "The file is &lt;empty&gt;." in text
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    data = json.loads(found[1])
    [page] = data["pages"]
    assert page == {"file": "gallery/pages/000000.js", "last": "a", "classes": [0, 1]}
    [image] = images_of(folder.path / page["file"])
    assert (image["name"], image["areas"]) == ("a", [[1, 0.75], [0, 0.25]])
    assert data["counts"] == [[0, 1], [1, 1]]
    assert [one["name"] for one in data["classes"]] == ["background", "dog <b>"]


def test_names_that_are_no_text_can_be_written(folder: OwnFolder) -> None:
    record = ImageRecord("x", "/photos/\udcff.jpg", "failed", "broken")
    done = ImageRecord("y", "/photos/\udcfe.jpg", "done", size=(1, 1))
    write_gallery(folder, "run", [], held([record, done]), make_vocabulary(["dog"]))


def test_many_images_are_in_many_files(folder: OwnFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ovsskit.run.output.gallery.PAGE", 3)
    monkeypatch.setattr("ovsskit.run.output.gallery.SHOWN_FAILED", 2)
    done = [ImageRecord(f"{n:02d}", f"{n}.jpg", "done", areas=((n % 2, 1.0),)) for n in range(7)]
    broken = [ImageRecord(f"x{n}", f"x{n}.jpg", "failed", "broken") for n in range(5)]
    files = write_gallery(folder, "run", [], held([*done, *broken]), make_vocabulary(["dog"]))
    pages = sorted(files.keys() - {"index.html"})
    listed = [[one["name"] for one in images_of(folder.path / page)] for page in pages]
    assert listed == [["00", "01", "02"], ["03", "04", "05"], ["06"]]
    text = (folder.path / "index.html").read_text(encoding="utf-8")
    assert "5 failed" in text
    assert "3 more are in images.sqlite" in text


def test_classes(folder: OwnFolder) -> None:
    write_classes(folder, make_vocabulary(["Größe, Maß"], [7], background_words=["sky"]))
    text = (folder.path / "classes.json").read_text(encoding="utf-8")
    assert text.startswith('[\n {\n  "number": 0,')
    assert '"name": "Größe"' in text
    assert json.loads(text) == [
        {"number": 0, "name": "background", "colour": "#000000", "words": ["sky"]},
        {"number": 7, "name": "Größe", "colour": "#f43e25", "words": ["Maß"]},
    ]
