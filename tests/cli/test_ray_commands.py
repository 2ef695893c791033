"""Commands on a Ray cluster of several processes, one of which is killed, leave what others do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pytest
from finished_runs import tree
from run_records import read_run

pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
TESTS = Path(__file__).parent.parent
STAGES = ("toy_stages.py", "study/study_stages.py", "dying_stages.py")
RUN = """
name = "mine"
[vocabulary]
names = ["red", "green", "blue"]
[[stage]]
use = "toy_colours"
[[stage]]
use = "toy_softmax"
[[stage]]
use = "die_once"
[[stage]]
use = "toy_labels"
"""
STUDY = """
name = "mine"
[vocabulary]
names = ["light"]
[[stage]]
use = "toy_shade"
[[stage]]
use = "die_once"
[[stage]]
use = "toy_cut"
[study]
objective = { use = "toy_goal" }
accept = "best"
sampler = "random"
trials = 8
[study.space]
"toy_shade.layer" = { low = 0, high = 4 }
"toy_cut.at"      = { low = 0.0, high = 1.0 }
"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what starts a command in a folder with images, and waits for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else a busy machine lets them wait
    (tmp_path / "photos").mkdir()
    for index in range(8):
        image = PIL.Image.new("RGB", (20 + index, 10), ("red", "lime", "blue")[index % 3])
        image.save(tmp_path / "photos" / f"{index}.png")

    def start(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        plugins = [part for name in STAGES for part in ("--plugin", str(TESTS / name))]
        line = [sys.executable, "-m", "ovsskit", *words, *plugins, "--device", "cpu", "--quiet"]
        own = {**os.environ, **environment}
        return subprocess.run(line, check=False, capture_output=True, text=True, env=own)

    return start


def test_a_run_on_a_cluster_leaves_what_one_process_does(tmp_path: Path, command: Any) -> None:
    Path("mine.toml").write_text(RUN)
    Path("photos/broken.png").write_bytes(b"no image")
    here = command("run", "mine.toml", "photos", "--out", "here", "--batch", "2")
    assert here.returncode == 1, here.stderr
    words = ("run", "mine.toml", "photos", "--out", "there", "--batch", "2", "--engine", "ray")
    there = command(*words)
    assert there.returncode == 1, there.stderr
    assert Path("died").exists()
    assert tree(Path("here")) == tree(Path("there"))
    for name in tree(Path("here")) - {"run.json", "index.html", "images.sqlite"}:
        assert Path("here", name).read_bytes() == Path("there", name).read_bytes(), name
    assert read_run("here")["images"] == read_run("there")["images"]
    Path("there/masks/5.png").unlink()
    again = command(*words)
    assert again.returncode == 1, again.stderr
    assert Path("here/masks/5.png").read_bytes() == Path("there/masks/5.png").read_bytes()


def test_a_study_on_a_cluster_finds_what_one_process_does(tmp_path: Path, command: Any) -> None:
    for index in range(3):
        grey = numpy.random.default_rng(index).integers(0, 255, (16, 16)).astype("uint8")
        PIL.Image.fromarray(grey).convert("RGB").save(tmp_path / "photos" / f"{index}.png")
    Path("mine.toml").write_text(STUDY)
    assert command("study", "mine.toml", "photos", "--out", "here").returncode == 0
    words = ("study", "mine.toml", "photos", "--out", "there", "--engine", "ray", "--workers", "2")
    there = command(*words)
    assert there.returncode == 0, there.stderr
    assert Path("died").exists()
    found = [json.loads(Path(out, "trials.json").read_text()) for out in ("here", "there")]
    turns = [sorted((one["turn"], one["values"]) for one in each["trials"]) for each in found]
    assert turns[0] == turns[1]
    assert len(turns[0]) == 8
    assert Path("here/best.toml").read_bytes() == Path("there/best.toml").read_bytes()


@pytest.mark.parametrize("kind", ["run", "study"])
def test_a_cluster_takes_no_devices_and_there_is_no_other_engine(command: Any, kind: str) -> None:
    Path("mine.toml").write_text(STUDY)
    given = command(kind, "mine.toml", "photos", "--out", "out", "--engine", "spark")
    assert given.returncode == 2
    assert "There is no engine `spark`" in given.stderr
    assert not Path("out").exists()
