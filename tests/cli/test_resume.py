"""A run that is started again looks at what is there, whatever happened to the one before and to
its files.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from run_records import read_run

from ovsskit.cli.__main__ import main
from ovsskit.files.own.written import measure
from ovsskit.run.output.folder import OutputFolder

TESTS = Path(__file__).parent.parent
TOY = ("--plugin", str(TESTS / "toy_stages.py"), "--classes", "red, green, blue")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the toy recipe on three images, in the process of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "photos").mkdir()
    for index, colour in enumerate(("red", "lime", "blue")):
        PIL.Image.new("RGB", (20 + index, 10), colour).save(tmp_path / "photos" / f"{index}.png")

    def ran(
        *more: str, recipe: str = str(TESTS / "toy.toml"), images: str = "photos"
    ) -> tuple[int, str, str]:
        arguments = ["ovsskit", "run", recipe, images, "--out", "out", *more, *TOY]
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capfd.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return ran


def states(out: Path) -> list[str]:
    return [one["state"] for one in read_run(out)["images"]]


def see_whole(out: Path) -> None:
    """See that record, gallery and files agree."""
    record = read_run(out)
    assert [one["state"] for one in record["images"]] == ["done"] * 3
    written = {**record["pages"]}
    for one in record["images"]:
        written |= one["files"]
    assert {"index.html", "classes.json"} < written.keys()
    assert written == {name: list(measure(out / name)) for name in written}
    shown = (out / "gallery/pages/000000.js").read_text()
    assert all(f'"name": "{index}", "' in shown for index in range(3))
    assert not (out / "finished.jsonl").exists()
    assert not (out / ".parts").exists()


KILLS = {
    "while a mask is renamed": (
        "import os\n"
        "replace = os.replace\n"
        "def renamed(part, path):\n"
        "    if str(path).endswith('masks/1.png'):\n"
        "        os._exit(9)\n"
        "    replace(part, path)\n"
        "os.replace = renamed\n"
    ),
    "between the last image and the gallery": (
        "import os\n"
        "from ovsskit.run.output.folder import OutputFolder\n"
        "OutputFolder.see_done = lambda *_: os._exit(9)\n"
    ),
}


@pytest.mark.parametrize("when", KILLS)
def test_a_run_killed_at_any_point_is_made_whole(run: Run, tmp_path: Path, when: str) -> None:
    code = f"{KILLS[when]}from ovsskit.cli.__main__ import main\nmain()\n"
    arguments = ["run", str(TESTS / "toy.toml"), "photos", "--out", "out", "--batch", "1", *TOY]
    killed = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, check=False, capture_output=True
    )
    assert killed.returncode == 9, killed.stderr
    assert "done" not in states(tmp_path / "out"), "the record is older than the journal"
    status, out, _ = run()
    assert status == 0
    assert ("Nothing to do" in out) == (when == "between the last image and the gallery")
    see_whole(tmp_path / "out")


def test_missing_and_truncated_files_are_made_again_and_said(run: Run, tmp_path: Path) -> None:
    run("--save-scores")
    out = tmp_path / "out"
    (out / "masks" / "0.png").unlink()
    (out / "overlays" / "1.jpg").write_bytes(b"")
    (out / "index.html").write_text("")
    status, said, error = run("--save-scores")
    assert (status, "Nothing to do" in said) == (0, False)
    assert "2 of the 3 finished images are done again" in error
    see_whole(out)
    shutil.rmtree(out / "gallery")
    (out / "classes.json").unlink()
    assert run("--save-scores")[0] == 0
    see_whole(out)
    assert "Nothing to do" in run("--save-scores")[1]


@pytest.mark.parametrize("page", ["index.html", "classes.json"])
def test_a_missing_page_is_written_though_every_image_is_done(
    run: Run, tmp_path: Path, page: str
) -> None:
    run()
    (tmp_path / "out" / page).unlink()
    assert "Nothing to do" in run()[1]
    see_whole(tmp_path / "out")


def test_changed_content_is_found_when_asked_for(run: Run, tmp_path: Path) -> None:
    run()
    mask = tmp_path / "out" / "masks" / "1.png"
    content = mask.read_bytes()
    mask.write_bytes(bytes(len(content)))
    assert "Nothing to do" in run()[1]
    assert "1 of the 3 finished images" in run("--verify")[2]
    assert mask.read_bytes() == content


def test_a_broken_byte_in_the_journal_costs_one_image(run: Run, tmp_path: Path) -> None:
    run()
    journal = tmp_path / "out" / "finished.jsonl"
    journal.write_bytes(b'{"name": "1\xff", "source": "photos/1.png"}\n')
    status, _, error = run()
    assert status == 0
    assert "1 of 1 lines of" in error
    see_whole(tmp_path / "out")


def test_a_folder_that_vanishes_stops_the_run_and_leaves_no_lie(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = OutputFolder.finish

    def take_away(folder: OutputFolder, record: Any) -> None:
        finish(folder, record)
        if record.name == "0":
            folder.path.rename(tmp_path / "moved")

    with monkeypatch.context() as patched:
        patched.setattr(OutputFolder, "finish", take_away)
        status, _, error = run("--batch", "1")
    assert status == 1
    assert "was removed while it was being written" in error
    assert not (tmp_path / "out").exists()
    assert run()[0] == 0
    see_whole(tmp_path / "out")


def test_a_mask_that_vanishes_is_told_at_the_end(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = OutputFolder.finish

    def take_away(folder: OutputFolder, record: Any) -> None:
        finish(folder, record)
        if record.name == "0" and record.state == "done":
            (folder.path / "masks" / "0.png").unlink()

    with monkeypatch.context() as patched:
        patched.setattr(OutputFolder, "finish", take_away)
        status, out, _ = run("--batch", "1")
    assert status == 1
    assert "0.png: Its files were removed during the run." in out
    assert states(tmp_path / "out") == ["failed", "done", "done"]
    assert run()[0] == 0
    see_whole(tmp_path / "out")


def test_own_results_are_no_input(run: Run, tmp_path: Path) -> None:
    for time in range(3):
        status, _, error = run("--out", f"photos/out{time}")
        assert status == 0
        assert states(tmp_path / "photos" / f"out{time}") == ["done"] * 3
        results = {0: "", 1: "1 folder of earlier results", 2: "2 folders of earlier results"}
        assert results[time] in error


def test_a_link_among_the_results_is_not_followed(run: Run, tmp_path: Path) -> None:
    run()
    shutil.move(tmp_path / "out" / "masks", tmp_path / "elsewhere")
    (tmp_path / "out" / "masks").symlink_to("../elsewhere")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "elsewhere").iterdir()}
    status, _, error = run("--save-scores")
    assert status == 2
    assert "out/masks  OV501" in error
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("name", ["../../stolen", "{folder}/stolen"])
def test_a_recipe_of_a_stranger_writes_nowhere_else(run: Run, tmp_path: Path, name: str) -> None:
    evil = tmp_path / "evil.toml"
    evil.write_text(f'name = "{name.format(folder=tmp_path)}"\nextends = "{TESTS / "toy.toml"}"\n')
    before = sorted(tmp_path.rglob("*"))
    status, _, error = run(recipe="evil.toml")
    assert status == 2
    assert "evil.toml:1  OV113" in error
    assert sorted(tmp_path.rglob("*")) == before


PRESENCE = """
extends = "{toy}"
[[stage]]
use = "presence_from_file"
before = "toy_colours"
{file}
"""


def test_a_file_that_a_stage_reads_and_that_is_missing_stops_before_anything_is_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "present.toml"
    recipe.write_text(PRESENCE.format(toy=TESTS / "toy.toml", file='file = "present.json"'))
    status, _, error = run(recipe="present.toml")
    assert status == 2
    assert "present.toml:6  OV304" in error
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(sys, "argv", ["ovsskit", "check", "present.toml", *TOY[:2]])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "names a file that does not exist: present.json" in capfd.readouterr().err
    (tmp_path / "present.json").write_text('{"0": ["red"], "1": ["green"], "2": ["blue"]}')
    assert run(recipe="present.toml")[0] == 0
    see_whole(tmp_path / "out")


def test_a_file_that_the_recipe_leaves_open_must_be_named(run: Run, tmp_path: Path) -> None:
    recipe = tmp_path / "open.toml"
    recipe.write_text(PRESENCE.format(toy=TESTS / "toy.toml", file=""))
    status, _, error = run(recipe="open.toml")
    assert status == 2
    assert "Name one: --set presence_from_file.file=FILE" in error
    assert not (tmp_path / "out").exists()
    status, _, error = run("--set", "presence_from_file.file=none.json", recipe="open.toml")
    assert status == 2
    assert "Paths are relative to the current folder." in error
