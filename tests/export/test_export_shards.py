"""Shards of an export leave what one process leaves, byte by byte."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from finished_runs import CASES, finish_run, one_pixel, tree
from run_records import change_images

import ovsskit
from ovsskit.cli.__main__ import main
from ovsskit.export.registry import format_files
from ovsskit.files.shard import Shard

TESTS = Path(__file__).parent.parent
ON_EARTH = {"geotiff", "geopackage", "geojson"}
SCORES = {"numpy_scores", "safetensors_scores"}
MASKS = {
    f"i{index:02d}": one_pixel(7, 8 + index) if index % 2 else CASES["several classes"][0]
    for index in range(10)
}


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return finish_run(tmp_path / "found", MASKS)


def record(folder: str) -> dict[str, Any]:
    return json.loads(Path(folder, "export.json").read_text())


def see_same(first: str, second: str) -> None:
    assert tree(Path(first)) == tree(Path(second))
    for name in tree(Path(first)) - {"export.json"}:
        assert Path(first, name).read_bytes() == Path(second, name).read_bytes(), name
    plain = [record(folder) for folder in (first, second)]
    for one in plain:
        del one["written"], one["notices"]
    assert plain[0] == plain[1]
    assert plain[0]["finished"]


@pytest.mark.parametrize("to", sorted(format_files().keys() - ON_EARTH - SCORES))
def test_shards_leave_what_one_process_leaves(found: Path, to: str) -> None:
    Path(found, "masks/i03.png").unlink()
    images = "copy" if to != "supervision" else ""
    ovsskit.run_export(found, to, out="whole", images=images)
    for shard in ("2/3", "3/3", "1/3"):
        assert not Path("parts").exists() or not record("parts")["finished"]
        ovsskit.run_export(found, to, out="parts", images=images, shard=shard)
    see_same("whole", "parts")
    ovsskit.run_export(found, to, out="parts", images=images, shard="2/3")
    see_same("whole", "parts")


def test_an_image_that_comes_back_is_exported_by_its_shard_or_by_all(found: Path) -> None:
    mask = Path(found, "masks/i03.png")
    content = mask.read_bytes()
    mask.unlink()
    parts = [f"{number}/2" for number in (1, 2)]
    own = next(one for one in parts if Shard(int(one[0]), 2).has("i03"))
    for shard in parts:
        ovsskit.run_export(found, "coco", out="parts", shard=shard)
    assert [one["name"] for one in record("parts")["left_out"]] == ["i03"]
    mask.write_bytes(content)
    ovsskit.run_export(found, "coco", out="whole")
    ovsskit.run_export(found, "coco", out="parts", shard=next(one for one in parts if one != own))
    assert [one["name"] for one in record("parts")["left_out"]] == ["i03"]
    ovsskit.run_export(found, "coco", out="parts", shard=own)
    see_same("whole", "parts")
    mask.unlink()
    ovsskit.run_export(found, "coco", out="parts", shard=own)
    ovsskit.run_export(found, "coco", out="whole")
    see_same("whole", "parts")


def test_images_that_are_still_to_run_keep_shards_from_ending(found: Path) -> None:
    change_images(found, lambda images: images[4].update(state="pending"))
    for shard in ("1/2", "2/2"):
        ovsskit.run_export(found, "coco", out="parts", shard=shard)
    assert not record("parts")["finished"]
    assert record("parts")["images"]["exported"] == 9
    change_images(found, lambda images: images[4].update(state="done"))
    shard = next(number for number in (1, 2) if Shard(number, 2).has("i04"))
    before = Path("parts/images.jsonl").read_text().splitlines()
    ovsskit.run_export(found, "coco", out="parts", shard=f"{shard}/2")
    ovsskit.run_export(found, "coco", out="whole")
    see_same("whole", "parts")
    assert {*before} < {*Path("parts/images.jsonl").read_text().splitlines()}


def test_what_a_killed_shard_has_exported_is_not_lost(found: Path) -> None:
    code = (
        "import os, signal\n"
        "import ovsskit\n"
        "from ovsskit.export.folder import ExportFolder\n"
        "add, left = ExportFolder.add, [2]\n"
        "def add_some(folder, line):\n"
        "    add(folder, line)\n"
        "    left[0] -= 1\n"
        "    if not left[0]:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "ExportFolder.add = add_some\n"
        "ovsskit.run_export('found', 'coco', out='parts', shard='1/2')\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    lines = Path("parts/images-1-of-2.jsonl")
    before = lines.read_text().splitlines()
    assert len(before) == 2
    with lines.open("a") as file:
        file.write('{"part": ["i0')
    ovsskit.run_export(found, "coco", out="parts", shard="2/3")
    assert {*before} < {*Path("parts/images.jsonl").read_text().splitlines()}
    assert not lines.exists()
    ovsskit.run_export(found, "coco", out="parts")
    ovsskit.run_export(found, "coco", out="whole")
    see_same("whole", "parts")


def test_shards_of_a_run_export_their_part_and_the_last_one_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for index in range(8):
        image = PIL.Image.new("RGB", (20 + index, 10), ("red", "lime", "blue")[index % 3])
        image.save(tmp_path / "photos" / f"{index}.png")
    (tmp_path / "photos/broken.png").write_bytes(b"no image")
    command = ["run", str(TESTS / "toy.toml"), "photos", "--classes", "red, green, blue"]
    command += ["--plugin", str(TESTS / "toy_stages.py"), "--out", "found", "--export", "coco"]
    together = [
        subprocess.Popen(
            [sys.executable, "-m", "ovsskit", *command, "--quiet", "--shard", f"{number}/3"],
            stderr=subprocess.PIPE,
            env=os.environ,
        )
        for number in (1, 2, 3)
    ]
    said = [process.communicate()[1] for process in together]
    assert sorted(process.returncode for process in together) == [0, 0, 1], said
    monkeypatch.setattr(sys, "argv", ["ovsskit", "export", "found", "--to", "coco", "--out", "one"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    see_same("one", "ovsskit-export/found-coco")
