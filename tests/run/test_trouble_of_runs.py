"""What the system does to a run: files that vanish, clocks that jump, folders that are closed."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

import ovsskit
from ovsskit.errors import BadOutput, CannotWrite
from ovsskit.files.own.own_folder import OwnFolder
from ovsskit.recipe.registry import load_plugin
from ovsskit.run.output.folder import OutputFolder

TESTS = Path(__file__).parent.parent
COLOURS = ("red", "lime", "blue")
DAY = 86_400_000_000_000


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    load_plugin(TESTS / "toy_stages.py")
    (tmp_path / "photos").mkdir()
    for number, colour in enumerate(COLOURS):
        PIL.Image.new("RGB", (20, 10), colour).save(tmp_path / "photos" / f"{number}.png")
    return tmp_path / "photos"


def run(photos: Path, out: Path) -> dict[str, Any]:
    words = ["red", "green", "blue"]
    return ovsskit.run_images(TESTS / "toy.toml", photos, out=out, classes=words, batch=1)


def done(record: dict[str, Any]) -> list[str]:
    return [one["name"] for one in record["images"] if one["state"] == "done"]


def at_work(photos: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run again; return the images that are done now."""
    finish, finished = OutputFolder.finish, list[str]()

    def noted(folder: OutputFolder, record: Any) -> None:
        finished.append(record.name)
        finish(folder, record)

    with monkeypatch.context() as patched:
        patched.setattr(OutputFolder, "finish", noted)
        assert done(run(photos, out)) == ["0", "1", "2"]
    return finished


def test_an_image_that_vanishes_after_it_was_listed_fails_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, image = OutputFolder.add, photos / "1.png"
    content = image.read_bytes()

    def remove(folder: OutputFolder, *arguments: Any, **options: Any) -> Any:
        todo = add(folder, *arguments, **options)
        image.unlink()
        return todo

    with monkeypatch.context() as patched:
        patched.setattr(OutputFolder, "add", remove)
        record = run(photos, tmp_path / "out")
    assert done(record) == ["0", "2"]
    assert record["images"][1]["reason"].startswith("The file cannot be read: No such file")
    image.write_bytes(content)
    assert at_work(photos, tmp_path / "out", monkeypatch) == ["1"]


@pytest.mark.parametrize("jump", [30 * DAY, -30 * DAY])
def test_times_that_lie_ahead_or_go_back_mean_a_change_like_any_other(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    image, now = photos / "1.png", time.time_ns()
    run(photos, tmp_path / "out")
    os.utime(image, ns=(now + jump, now + jump))
    assert at_work(photos, tmp_path / "out", monkeypatch) == ["1"]
    assert at_work(photos, tmp_path / "out", monkeypatch) == []


def test_a_clock_that_goes_back_changes_nothing_of_what_is_done(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(photos, tmp_path / "out")
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            os.utime(path, ns=(time.time_ns() + DAY,) * 2)
    assert at_work(photos, tmp_path / "out", monkeypatch) == []


def test_two_runs_do_not_write_into_one_folder(photos: Path, tmp_path: Path) -> None:
    record = run(photos, tmp_path / "out")
    holding = OwnFolder(tmp_path / "out", "run.json")
    with pytest.raises(BadOutput, match="Another run is writing into this folder"):
        run(photos, tmp_path / "out")
    holding.close()
    assert done(run(photos, tmp_path / "out")) == done(record)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "Permission denied"),
        (errno.EROFS, "Read-only file system"),
        (errno.ENOSPC, "The disk is full"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_folder_that_refuses_in_the_middle_stops_the_run_which_then_goes_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    rename = os.replace

    def refuse(source: Any, target: Any) -> None:
        if Path(target) == tmp_path / "out" / "masks" / "1.png":
            raise OSError(number, os.strerror(number))
        rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", refuse)
        with pytest.raises(CannotWrite, match=said) as caught:
            run(photos, tmp_path / "out")
    assert "it resumes where it stopped" in caught.value.fix
    assert not list((tmp_path / "out").rglob("*.part"))
    again = at_work(photos, tmp_path / "out", monkeypatch)
    assert "1" in again
    assert "0" not in again


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_a_folder_without_permission_is_refused_before_anything_is_read(
    photos: Path, tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(BadOutput, match="Permission denied"):
        run(photos, closed / "out")
    with pytest.raises(BadOutput, match="Permission denied"):
        run(photos, closed)
    closed.chmod(0o700)
    assert done(run(photos, closed / "out")) == ["0", "1", "2"]
