"""Several processes share an evaluation, and leave what one would have left."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pytest
from finished_runs import tree

import ovsskit
from ovsskit.errors import BadOutput
from ovsskit.eval.counts import ImageCounts
from ovsskit.eval.folder import EvalFolder
from ovsskit.eval.pictures import KEPT
from ovsskit.files.shard import Shard
from ovsskit.recipe import registry

TESTS = Path(__file__).parent.parent
COUNT = 2 * KEPT + 6
"""More images than are drawn."""


@pytest.fixture
def scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Paint images of which each has another share that is wrong."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "PLUGINS", dict(registry.PLUGINS))
    registry.load_plugin(TESTS / "toy_stages.py")
    for kind in ("photos", "truth"):
        (tmp_path / kind).mkdir()
    for index in range(COUNT):
        truth = numpy.ones((8, COUNT), "uint8")
        truth[:, : index * 7 % COUNT] = 2
        pixels = numpy.zeros((8, COUNT, 3), "uint8")
        pixels[..., 0] = 255
        PIL.Image.fromarray(pixels).save(tmp_path / "photos" / f"{index:02d}.png")
        PIL.Image.fromarray(truth).save(tmp_path / "truth" / f"{index:02d}.png")
    (tmp_path / "truth" / "03.png").write_bytes(b"broken")
    (tmp_path / "classes.txt").write_text("1 red\n2 green\n")
    return tmp_path


def measure(out: str, shard: str | None = None) -> dict[str, Any]:
    return ovsskit.run_eval(
        TESTS / "toy.toml",
        images="photos",
        truth="truth",
        truth_classes="classes.txt",
        out=out,
        shard=shard,
    )


def see_same(first: str, second: str) -> None:
    assert tree(Path(first)) == tree(Path(second))
    for name in tree(Path(first)) - {"eval.json", "index.html"}:
        assert Path(first, name).read_bytes() == Path(second, name).read_bytes(), name
    one, other = (json.loads(Path(out, "eval.json").read_text()) for out in (first, second))
    for plain in (one, other):
        for key in ("written", "costs", "notices"):
            del plain[key]
    assert one == other


def test_shards_leave_what_one_process_would(scenes: Path) -> None:
    whole = measure("whole")
    assert whole["images"]["counted"] == COUNT - 1
    for shard in ("2/3", "3/3", "1/3"):
        record = measure("parts", shard)
    assert record["metrics"] == whole["metrics"]
    assert record["interval"] == whole["interval"]
    assert len(list(Path("parts/pictures").iterdir())) == 2 * KEPT
    see_same("whole", "parts")
    measure("parts", "2/3")
    see_same("whole", "parts")


def test_what_a_killed_shard_has_counted_is_not_lost(scenes: Path) -> None:
    measure("whole")
    code = (
        "import os, sys\n"
        "import ovsskit\n"
        "from ovsskit.eval.folder import EvalFolder\n"
        "from ovsskit.recipe import registry\n"
        f"registry.load_plugin(ovsskit.eval.folder.Path({str(TESTS / 'toy_stages.py')!r}))\n"
        "add, left = EvalFolder.add, [4]\n"
        "def add_some(folder, counts):\n"
        "    add(folder, counts)\n"
        "    left[0] -= 1\n"
        "    if not left[0]:\n"
        "        os._exit(9)\n"
        "EvalFolder.add = add_some\n"
        f"ovsskit.run_eval({str(TESTS / 'toy.toml')!r}, images='photos', truth='truth',\n"
        "    truth_classes='classes.txt', out='parts', shard='1/2')\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert killed.returncode == 9, killed.stderr
    lines = Path("parts/images-1-of-2.jsonl")
    assert len(lines.read_text().splitlines()) == 4
    with lines.open("a") as file:
        file.write('{"index": 5, "na')
    measure("parts")
    assert not lines.exists()
    see_same("whole", "parts")


def test_lines_come_in_the_order_of_the_data_set_once_each(tmp_path: Path) -> None:
    out = tmp_path / "out"
    shards = [EvalFolder(out, {"a": 1}, Shard(number, 2)) for number in (1, 2)]
    for index in (5, 1, 3):
        shards[0].add(ImageCounts(index, f"n{index}"))
    for index in (4, 0, 1):
        shards[1].add(ImageCounts(index, f"n{index}"))
    for shard in shards:
        with shard.alone():
            pass
        shard.close()
    whole = EvalFolder(out, {"a": 1})
    assert whole.start() == {0, 1, 3, 4, 5}
    assert [counts.index for counts in whole.read()] == [0, 1, 3, 4, 5]
    assert [path.name for path in out.glob("*.jsonl")] == ["images.jsonl"]
    whole.close()


def test_a_shard_that_ends_leaves_the_lines_of_those_that_began_later(tmp_path: Path) -> None:
    first, second = (EvalFolder(tmp_path / "out", {"a": 1}, Shard(one, 2)) for one in (1, 2))
    second.add(ImageCounts(3, "n3"))
    with first.alone():
        assert [counts.index for counts in first.read()] == []
    first.close()
    assert (tmp_path / "out/images-2-of-2.jsonl").exists()
    with second.alone():
        assert [counts.index for counts in second.read()] == [3]
    second.close()


def test_a_shard_of_another_evaluation_is_refused(tmp_path: Path) -> None:
    first = EvalFolder(tmp_path / "out", {"a": 1}, Shard(1, 2))
    with pytest.raises(BadOutput, match="another evaluation"):
        EvalFolder(tmp_path / "out", {"a": 2}, Shard(2, 2))
    first.close()
