"""A class has one colour wherever a person sees it: in the mask, the overlay and its legend,
`classes.json`, the gallery.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import numpy
import PIL.Image
import pytest
import torch

from ovsskit.engine.values import Image, Labels
from ovsskit.files.own.kinds import RUN
from ovsskit.files.own.own_folder import OwnFolder
from ovsskit.recipe.vocabulary import make_vocabulary
from ovsskit.run.output import overlay
from ovsskit.run.output.gallery import write_classes, write_gallery
from ovsskit.run.output.maps import MapCollector
from ovsskit.run.output.overlay import TINT, draw_overlay
from ovsskit.run.output.record import ImageRecord
from ovsskit.run.output.records import Records
from ovsskit.run.output.save import Prediction, save_prediction
from ovsskit.stages.maps.label_map import LabelMap

Colour = tuple[int, ...]

VOCABULARY = make_vocabulary(["dog", "cat", "cow", "bus"], [7, 3, 250, 12])
WIDTHS = {3: 300, 7: 200, 0: 120, 250: 20}
"""How many columns of the image each class covers; the bus (12) is not in it."""
LABELS = numpy.repeat(list(WIDTHS), list(WIDTHS.values()))[None].repeat(400, 0)
MIDDLES = dict(
    zip(
        WIDTHS,
        (numpy.cumsum(list(WIDTHS.values())) - numpy.array(list(WIDTHS.values())) // 2).tolist(),
        strict=True,
    )
)
GREY = 90
PIXELS = numpy.full((*LABELS.shape, 3), GREY, "uint8")
COLOURS: dict[int, Colour] = dict(zip(VOCABULARY.ids, VOCABULARY.colours, strict=True))


def tinted(number: int) -> Colour:
    """Return how a class's colour looks on the grey of the image; the background is not tinted."""
    weight = TINT if number else 0
    return tuple(round(GREY * (1 - weight) + part * weight) for part in COLOURS[number])


def near(one: object, other: Colour, by: int) -> bool:
    return bool((numpy.abs(numpy.array(one).astype(int) - other) <= by).all())


def hexadecimal(text: str) -> Colour:
    return tuple(int(text[start : start + 2], 16) for start in (1, 3, 5))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with everything that is written about one image."""
    out = tmp_path_factory.mktemp("out")
    own = OwnFolder(out, RUN)
    record = save_prediction(own, Prediction(ImageRecord("a", "a.jpg"), PIXELS, LABELS), VOCABULARY)
    write_classes(own, VOCABULARY)
    records = Records()
    records[record.name] = record
    write_gallery(own, "run", [], records, VOCABULARY)
    records.close()
    own.close()
    return out


def gallery_data(folder: Path) -> dict[str, list[dict[str, object]]]:
    text = (folder / "index.html").read_text()
    found = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    data: dict[str, list[dict[str, object]]] = json.loads(found[1])
    return data


def gallery_page(folder: Path) -> str:
    """Return the script that hands the gallery its images."""
    [one] = gallery_data(folder)["pages"]
    return (folder / str(one["file"])).read_text()


def test_the_colours_of_a_vocabulary_are_told_apart() -> None:
    assert len(set(COLOURS.values())) == len(COLOURS) == 5
    assert COLOURS[0] == (0, 0, 0)


def test_the_mask_shows_them(folder: Path) -> None:
    mask = PIL.Image.open(folder / "masks" / "a.png")
    numbers, shown = numpy.asarray(mask), numpy.asarray(mask.convert("RGB"))
    for number, middle in MIDDLES.items():
        assert numbers[200, middle] == number
        assert tuple(shown[200, middle]) == COLOURS[number]


def test_lists_of_classes_name_them(folder: Path) -> None:
    listed = json.loads((folder / "classes.json").read_text())
    assert gallery_data(folder)["classes"] == listed
    assert {one["number"]: hexadecimal(one["colour"]) for one in listed} == COLOURS
    assert {one["number"]: one["name"] for one in listed} == {
        0: "background",
        7: "dog",
        3: "cat",
        250: "cow",
        12: "bus",
    }


def test_the_overlay_is_tinted_in_them_with_borders_in_full(folder: Path) -> None:
    drawn = numpy.asarray(draw_overlay(PIXELS, LABELS, VOCABULARY))
    written = numpy.asarray(PIL.Image.open(folder / "overlays" / "a.jpg"))
    thumb = numpy.asarray(PIL.Image.open(folder / "gallery" / "thumbs" / "a.jpg"))
    for number, middle in MIDDLES.items():
        assert near(drawn[200, middle], tinted(number), 1)
        assert near(written[200, middle], tinted(number), 8)
        assert near(thumb[100, middle * thumb.shape[1] // LABELS.shape[1]], tinted(number), 12)
    edge = WIDTHS[3]
    assert tuple(drawn[200, edge - 1]) == COLOURS[3]
    assert tuple(drawn[200, edge]) == COLOURS[7]


def test_the_legend_has_a_swatch_beside_every_name(monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, int] = {}
    write = overlay._Legend._write
    monkeypatch.setattr(
        overlay._Legend,
        "_write",
        lambda self, draw, left, top, text, colour: (
            written.setdefault(text, top),
            write(self, draw, left, top, text, colour),
        ),
    )
    drawn = numpy.asarray(draw_overlay(PIXELS, LABELS, VOCABULARY))
    swatches = drawn[:, LABELS.shape[1] :][:, :30]  # names stand to the right of them
    names = {3: "cat", 7: "dog", 0: "background", 250: "cow"}
    for number, name in names.items():
        rows = (swatches == COLOURS[number]).all(-1).any(1).nonzero()[0]
        assert written[name] <= rows.min() < rows.max() < written[name] + 24
    percents = {"47 %": "cat", "31 %": "dog", "19 %": "background", "3.1 %": "cow"}
    assert {text: written[text] for text in percents} == {
        text: written[name] for text, name in percents.items()
    }
    assert set(written) == {*percents, *percents.values()}


def test_the_gallery_tells_the_class_of_every_pixel(folder: Path) -> None:
    text = (folder / "gallery" / "layers" / "a.js").read_text()
    found = json.loads(text.removeprefix("show(").removesuffix(");\n"))
    ranks = numpy.frombuffer(zlib.decompress(base64.b64decode(found["ranks"])), "uint8")
    [image] = json.loads(gallery_page(folder).removeprefix("page(0, ").removesuffix(");\n"))
    areas = image["areas"]
    numbers = numpy.array([number for number, _ in areas])[ranks]
    assert numpy.array_equal(numbers.reshape(found["height"], found["width"]), LABELS)
    assert dict(areas) == pytest.approx({number: width / 640 for number, width in WIDTHS.items()})


def test_labels_among_the_maps_have_them() -> None:
    image = Image(torch.from_numpy(PIXELS).permute(2, 0, 1) / 255)
    collector = MapCollector()
    state = {"image": image, "vocabulary": VOCABULARY, "labels": Labels(torch.from_numpy(LABELS))}
    collector(LabelMap(), [state], 0.0)
    assert collector.sheets[0].image is not None
    sheet = numpy.asarray(collector.sheets[0].image)
    for number, middle in MIDDLES.items():
        assert near(sheet[60, middle * 220 // 640], tinted(number), 2)


BROWSER = """
const made = {};
function element(tag) {
  return {
    tag, value: "", style: { setProperty() {} }, children: [], classList: { toggle() {} },
    setAttribute() {},
    append(...all) { this.children.push(...all); },
    replaceChildren(...all) { this.children = all; },
    get firstChild() { return this.children[0]; },
    getContext: () => ({
      clearRect() {},
      createImageData: (width, height) => ({ data: new Uint8ClampedArray(4 * width * height) }),
      putImageData(pixels) { made.canvas = pixels.data; },
    }),
    showModal() {},
  };
}
const parts = { data: { textContent: DATA } };
globalThis.document = {
  getElementById: name => parts[name] ??= element(name),
  createElement: element,
  head: element("head"),
};
globalThis.location = { hash: "#a" };
globalThis.history = { replaceState() {} };
globalThis.IntersectionObserver = class { observe() {} unobserve() {} };
"""
"""As much of a browser as the gallery's script needs to open an image."""

LOOK = """
;parts.opacity.value = 100;
show(LAYER).then(() => {
  const start = column => 4 * (200 * 640 + column);
  const at = column => [...made.canvas.slice(start(column), start(column) + 4)];
  const legend = parts.legend.children.map(item => item.children[0].children);
  console.log(JSON.stringify({
    legend: legend.map(([swatch, name, share]) =>
      [name.textContent, swatch.style.background, share.textContent]),
    pixels: COLUMNS.map(at),
  }));
});
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="runs the gallery's script by node")
def test_the_page_shows_them(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    data = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    script = re.search(r'<script>\n"use strict";(.*?)</script>', page, re.DOTALL)
    assert data
    assert script
    layer = (folder / "gallery" / "layers" / "a.js").read_text().strip()[len("show(") : -len(");")]
    program = BROWSER.replace("DATA", json.dumps(data[1])) + script[1]
    program += gallery_page(folder) + LOOK
    program = program.replace("LAYER", layer).replace("COLUMNS", json.dumps([*MIDDLES.values()]))
    done = subprocess.run(
        ["node"], input=program, capture_output=True, text=True, check=False, timeout=60
    )
    assert not done.stderr
    shown = json.loads(done.stdout)
    for number, pixel in zip(MIDDLES, shown["pixels"], strict=True):
        assert pixel == ([*COLOURS[number], 255] if number else [0, 0, 0, 0])
    assert [(name, hexadecimal(colour), share) for name, colour, share in shown["legend"]] == [
        ("cat", COLOURS[3], "47 %"),
        ("dog", COLOURS[7], "31 %"),
        ("background", COLOURS[0], "19 %"),
        ("cow", COLOURS[250], "3.1 %"),
    ]
