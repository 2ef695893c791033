from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ovsskit.files.own import RUN, OwnFolder
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.output.gallery import write_classes, write_gallery
from ovsskit.run.output.record import ImageRecord

RECORDS = [
    ImageRecord("a </script>", "a.jpg", "done", size=(4, 3), areas=((1, 0.75), (0, 0.25))),
    ImageRecord("b", "/photos/<b>.jpg", "failed", "The file is <empty>."),
    ImageRecord("c", "c.jpg"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[OwnFolder]:
    own = OwnFolder(tmp_path, RUN)
    yield own
    own.close()


def test_the_gallery_needs_nothing_from_elsewhere(folder: OwnFolder) -> None:
    write_gallery(folder, "dogs & cats", ["3 images"], RECORDS, make_vocabulary(["dog <b>"]))
    text = (folder.path / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r"(?:https?:)?//[a-z]", text)
    assert "<title>dogs &amp; cats" in text
    assert "The file is &lt;empty&gt;." in text
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    data = json.loads(found[1])
    assert [one["name"] for one in data["images"]] == ["a </script>"]
    assert data["images"][0]["areas"] == [[1, 0.75], [0, 0.25]]
    assert [one["name"] for one in data["classes"]] == ["background", "dog <b>"]


def test_names_that_are_no_text_can_be_written(folder: OwnFolder) -> None:
    record = ImageRecord("x", "/photos/\udcff.jpg", "failed", "broken")
    done = ImageRecord("y", "/photos/\udcfe.jpg", "done", size=(1, 1))
    write_gallery(folder, "run", [], [record, done], make_vocabulary(["dog"]))


def test_classes(folder: OwnFolder) -> None:
    write_classes(folder, make_vocabulary(["Größe, Maß"], [7], background_words=["sky"]))
    text = (folder.path / "classes.json").read_text(encoding="utf-8")
    assert text.startswith('[\n {\n  "number": 0,')
    assert '"name": "Größe"' in text
    assert json.loads(text) == [
        {"number": 0, "name": "background", "colour": "#000000", "words": ["sky"]},
        {"number": 7, "name": "Größe", "colour": "#f43e25", "words": ["Maß"]},
    ]
