"""The page answers to itself alone, and every answer is a picture or a sentence."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pytest

from ovsskit.recipe import registry
from ovsskit.recipe.build import load_recipe

TESTS = Path(__file__).parent.parent
CLASSES = "red, blue, <script>alert(1)</script>"
RECIPE = """
name = "toy"

[[stage]]
use = "toy_colours"

[[stage]]
use = "toy_softmax"

[[stage]]
use = "toy_labels"

[study.space]
"toy_colours.seconds" = { low = 0.0, high = 0.01 }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("serve")
    (found / "toy.toml").write_text(RECIPE)
    image = numpy.zeros((20, 40, 3), "uint8")
    image[:, :20, 0] = image[:, 20:, 2] = 255
    PIL.Image.fromarray(image).save(found / "half.png")
    return found


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Serve the toy recipe, twice, and return the address of the page."""
    recipe, plugin = str(folder / "toy.toml"), str(TESTS / "toy_stages.py")
    command = [sys.executable, "-m", "ovsskit", "serve", recipe, str(folder / "half.png")]
    command += ["--against", recipe, "--port", "0", "--classes", CLASSES, "--plugin", plugin]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line.startswith("http://127.0.0.1:"), line
        yield line
        process.terminate()


def ask(address: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(f"{address}{path}", data=body or None, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def post(address: str, path: str, **asked: Any) -> tuple[int, dict[str, Any]]:
    origin = address.rstrip("/")
    status, content = ask(address, path, json.dumps(asked).encode(), Origin=origin)
    return status, json.loads(content)


def segment(address: str, **asked: Any) -> tuple[int, dict[str, Any]]:
    return post(address, "segment", **{"recipe": 0, "image": "0", "classes": CLASSES, **asked})


def test_an_image_is_segmented_by_words(address: str) -> None:
    status, found = segment(address)
    assert status == 200
    assert {one["name"]: one["area"] for one in found["classes"]} == {"red": 0.5, "blue": 0.5}
    ranks = numpy.frombuffer(zlib.decompress(base64.b64decode(found["ranks"])), "uint8")
    names = [found["classes"][rank]["name"] for rank in ranks.reshape(20, 40)[5, [3, 33]]]
    assert names == ["red", "blue"]


def test_what_every_stage_wrote_is_drawn_when_it_is_asked_for(address: str) -> None:
    _, found = segment(address, maps=True)
    assert [one["stage"] for one in found["maps"]] == ["toy_colours", "toy_softmax", "toy_labels"]
    with PIL.Image.open(io.BytesIO(base64.b64decode(found["maps"][0]["png"]))) as drawn:
        assert drawn.width > 40


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"values": {"toy_colours.second": 1}}, "Did you mean `toy_colours.seconds`?"),
        ({"values": {"toy_colours.seconds": 7}}, "7 is not among 0 to 0.01."),
        ({"values": {"toy_colours.fail_at": "x"}}, "is not a parameter that can be moved here"),
        ({"values": 3}, "The page does not send such requests."),
        ({"image": "../etc/passwd"}, "There is no such image on the page."),
        ({"image": "7"}, "There is no such image on the page."),
        ({"recipe": 5}, "There is no such recipe on the page."),
        ({"classes": ""}, ""),
        ({"classes": "red, red"}, "Named more than once: red."),
    ],
)
def test_what_cannot_be_answered_is_said(address: str, asked: dict[str, Any], message: str) -> None:
    status, found = segment(address, **asked)
    assert status == 400
    assert message in found["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {},
    ],
)
def test_other_pages_and_other_hosts_are_refused(address: str, headers: dict[str, str]) -> None:
    body = json.dumps({"recipe": 0, "image": "0", "classes": "red", "values": {}}).encode()
    status, content = ask(address, "segment", body, **headers)
    assert status == 403
    assert b"page itself" in content or b"only to itself" in content
    if "Host" in headers:
        assert ask(address, "image/0", **headers)[0] == 403


def test_an_image_is_dropped_shown_and_segmented(address: str) -> None:
    file = io.BytesIO()
    PIL.Image.new("RGB", (30, 10), (0, 0, 255)).save(file, "PNG")
    origin = address.rstrip("/")
    status, content = ask(address, "drop?name=../../sea.png", file.getvalue(), Origin=origin)
    name = json.loads(content)["name"]
    assert status == 200
    assert {"name": name, "title": "sea.png"} in json.loads(ask(address, "images")[1])
    with PIL.Image.open(io.BytesIO(ask(address, f"image/{name}")[1])) as shown:
        assert shown.size == (30, 10)
    assert segment(address, image=name)[1]["classes"][0]["name"] == "blue"


def test_what_is_no_image_or_too_large_is_refused(address: str) -> None:
    origin = address.rstrip("/")
    status, content = ask(address, "drop?name=x.png", b"no image", Origin=origin)
    assert status == 400
    assert "This is not an image of a known format." in json.loads(content)["error"]
    status, content = ask(address, "drop?name=x.png", bytes(40_000_001), Origin=origin)
    assert status == 400
    assert "That is more than 40 MB." in json.loads(content)["error"]


def test_present_values_are_a_recipe_that_runs(address: str, folder: Path) -> None:
    values = {"toy_colours.seconds": 0.005}
    status, found = post(
        address, "variant", recipe=0, image="0", classes="red, blue", values=values
    )
    assert status == 200
    assert tomllib.loads(found["text"])["set"] == values
    path = folder / found["name"]
    path.write_text(found["text"])
    registry.load_plugin(TESTS / "toy_stages.py")
    recipe = load_recipe(path)
    assert recipe.plan.vocabulary.names == ("red", "blue")
    assert recipe.plan.stages[0].model_dump()["seconds"] == 0.005


def test_a_taken_port_is_said(address: str, folder: Path) -> None:
    port = address.rstrip("/").rpartition(":")[2]
    command = [sys.executable, "-m", "ovsskit", "serve", "quickstart", "--port", port]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"The port {port} cannot be used" in done.stderr
