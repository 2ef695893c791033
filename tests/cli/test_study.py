"""`ovsskit study` as a person types it: what it prints, what it leaves, and comparisons."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from PIL import Image

TESTS = Path(__file__).parent.parent / "study"


def ovsskit(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ovsskit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def done(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[subprocess.CompletedProcess[str]]]:
    """Return a folder with two finished studies, and what the commands printed."""
    folder = tmp_path_factory.mktemp("studies")
    for index in range(2):
        grey = numpy.random.default_rng(index).integers(0, 255, (12, 12)).astype("uint8")
        Image.fromarray(grey).convert("RGB").save(folder / f"p{index}.png")
    common = [
        folder / "p0.png",
        folder / "p1.png",
        "--plugin",
        TESTS / "study_stages.py",
        "--device",
        "cpu",
        "--accept",
        "best",
        "--trials",
        "12",
    ]
    plain = ovsskit("study", TESTS / "toy.toml", *common, "--out", folder / "one")
    lines = ovsskit(
        "study",
        TESTS / "toy.toml",
        *common,
        "--out",
        folder / "two",
        "--sampler",
        "random",
        "--json",
    )
    return folder, [plain, lines]


def test_a_study_prints_the_best_trials_and_the_network_calls_saved(
    done: tuple[Path, list[subprocess.CompletedProcess[str]]],
) -> None:
    folder, [plain, _] = done
    assert plain.returncode == 0, plain.stderr
    assert "unchanged" in plain.stdout
    assert "12 done" in plain.stdout
    assert "network calls" in plain.stdout
    assert str(folder / "one" / "best.toml") in plain.stdout
    assert {path.name for path in (folder / "one").iterdir()} >= {
        "best.toml",
        "index.html",
        "trials.json",
        "study.journal",
    }


def test_a_study_that_proves_nothing_says_why_and_exits_with_3(tmp_path: Path) -> None:
    for index in range(12):
        grey = numpy.random.default_rng(index).integers(0, 255, (12, 12)).astype("uint8")
        Image.fromarray(grey).convert("RGB").save(tmp_path / f"p{index}.png")
    study = tmp_path / "study.toml"
    study.write_text(
        f'recipe = {json.dumps(str(TESTS / "toy.toml"))}\nimages = ["*.png"]\ntrials = 6\n'
        '[confirm]\nuse = "toy_small"\ndirection = "minimize"\n'
    )
    common = ["--plugin", TESTS / "study_stages.py", "--device", "cpu", "--out", tmp_path / "out"]
    done = ovsskit("study", study, *common)
    assert done.returncode == 3, done.stderr
    assert "The unchanged recipe was kept: trial" in done.stdout
    assert "12 images are few" in done.stderr
    assert "The unchanged recipe was kept" in (tmp_path / "out" / "index.html").read_text()
    again = ovsskit("study", study, *common, "--json")
    assert again.returncode == 3
    summary = json.loads(again.stdout.splitlines()[-1])["summary"]
    assert summary["acceptance"]["accepted"] is False
    few = ovsskit("study", study, *common, "--limit", "5")
    assert few.returncode == 2
    assert "with fewer than 12 it proves nothing" in few.stderr


def test_json_has_a_line_for_each_trial(
    done: tuple[Path, list[subprocess.CompletedProcess[str]]],
) -> None:
    lines = [json.loads(line) for line in done[1][1].stdout.splitlines()]
    assert [line["turn"] for line in lines[:-1]] == list(range(12))
    summary = lines[-1]["summary"]
    assert summary["trials"] == 12
    assert summary["best"]["values"][0] >= summary["default"][0]
    assert summary["network_calls"]["saved"] > 0
    assert summary["front"] is None
    assert summary["knee"] is None


def test_studies_are_compared_by_trial_and_by_second(
    done: tuple[Path, list[subprocess.CompletedProcess[str]]],
) -> None:
    folder = done[0]
    found = json.loads(ovsskit("study", "compare", folder / "one", folder / "two", "--json").stdout)
    trials = [
        json.loads((folder / name / "trials.json").read_text())["trials"] for name in ("one", "two")
    ]
    for step in found["by_trial"]:
        bests = [max(row["values"][0] for row in rows[: step["at"]]) for rows in trials]
        assert step["best"] == bests
    assert [one["sampler"] for one in found["studies"]] == ["tpe", "random"]
    assert found["by_second"][-1]["best"] == found["by_trial"][-1]["best"]
    shown = ovsskit("study", "compare", folder / "one", folder / "two").stdout
    assert "best after trials" in shown
    assert "one (tpe)" in shown


def test_what_cannot_be_compared_is_told(
    tmp_path: Path, done: tuple[Path, list[subprocess.CompletedProcess[str]]]
) -> None:
    alone = ovsskit("study", "compare", done[0] / "one")
    assert alone.returncode == 2
    assert "two studies or more" in alone.stderr
    nothing = ovsskit("study", "compare", done[0] / "one", tmp_path)
    assert nothing.returncode == 2
    assert "There is no finished study here" in nothing.stderr


def test_the_best_recipe_passes_the_check(
    done: tuple[Path, list[subprocess.CompletedProcess[str]]],
) -> None:
    checked = ovsskit(
        "check",
        done[0] / "one" / "best.toml",
        TESTS / "toy.toml",
        "--plugin",
        TESTS / "study_stages.py",
    )
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count("ok ") == 2


def test_a_judge_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    study = tmp_path / "far.toml"
    study.write_text(
        'recipe = "quickstart"\naccept = "best"\n'
        '[models.judge]\nuse = "clip"\nweights = "nobody/nothing"\n'
    )
    done = ovsskit("study", study, "--limit", "2", "--device", "cpu", "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-2:] == [
        (
            "  `nobody/nothing` is not on this machine, and HF_HUB_OFFLINE prevents "
            "requests to the hub."
        ),
        "  Unset HF_HUB_OFFLINE to fetch the weights. Or fetch them where there is a network, and "
        "name their folder as `weights`.",
    ]
