from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any, BinaryIO

import PIL.Image
import pytest

from ovsskit.errors import BadOutput, CannotWrite
from ovsskit.files.writing import make_folder, see_free, see_same, write_text, write_whole


def full(*arguments: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("part", [None, "one.part"])
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, part: str | None) -> None:
    def half(file: Any) -> None:
        file.write(b"half")
        full()

    with pytest.raises(CannotWrite, match="The disk is full") as caught:
        write_whole(tmp_path / "one.txt", half, part=tmp_path / part if part else None)
    assert caught.value.status == 1
    assert caught.value.fix.startswith("Make room")
    assert not list(tmp_path.iterdir())


def test_writers_get_no_number_of_the_file_by_which_they_could_write_less(tmp_path: Path) -> None:
    def write(file: BinaryIO) -> None:
        with pytest.raises(io.UnsupportedOperation):
            file.fileno()
        PIL.Image.new("RGB", (9, 9), "red").save(file, "JPEG")

    write_whole(tmp_path / "a.jpg", write)
    with PIL.Image.open(tmp_path / "a.jpg") as image:
        image.load()


def test_what_was_there_stays_until_the_new_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "one.txt", "old")
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(CannotWrite):
        write_text(tmp_path / "one.txt", "new")
    assert (tmp_path / "one.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "one.txt").symlink_to("mine")
    write_text(tmp_path / "one.txt", "ours")
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "one.txt").read_text() == "ours"
    assert not (tmp_path / "one.txt").is_symlink()


@pytest.mark.parametrize("there", ["file", "folder", "link to nothing"])
def test_what_is_there_is_replaced_only_if_told(tmp_path: Path, there: str) -> None:
    path = tmp_path / "one"
    if there == "file":
        path.write_text("")
    elif there == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    with pytest.raises(BadOutput, match="OV501  output cannot be used\n  The file already exists"):
        see_free(path, force=False)
    see_free(path, force=True)
    see_free(tmp_path / "two", force=False)


def test_content_is_on_the_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr("os.fsync", lambda file: (told.append("sync"), sync(file)))
    monkeypatch.setattr("os.replace", lambda *names: (told.append("rename"), rename(*names)))
    write_text(tmp_path / "one.txt", "old")
    write_whole(tmp_path / "two.txt", lambda file: file.write(b"x"), flush=False)
    assert told == ["sync", "rename", "rename"]


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write_whole(tmp_path / "one.txt", lambda _: 1 / 0)
    assert not list(tmp_path.iterdir())


def test_folders_are_made(tmp_path: Path) -> None:
    for _ in range(2):
        write_text(tmp_path / "a" / "b" / "one.txt", "text")
        make_folder(tmp_path / "c" / "d")
    assert (tmp_path / "a" / "b" / "one.txt").read_text() == "text"
    assert not list((tmp_path / "c" / "d").iterdir())


@pytest.mark.parametrize(
    ("error", "reason"), [((errno.EIO, "Bad disk"), "Bad disk"), (("x",), "x")]
)
def test_why_a_file_cannot_be_written_is_said(
    tmp_path: Path, error: tuple[Any, ...], reason: str
) -> None:
    def fail(file: Any) -> None:
        raise OSError(*error)

    with pytest.raises(CannotWrite) as caught:
        write_whole(tmp_path / "one.txt", fail)
    assert caught.value.what == f"The file cannot be written: {reason}."
    assert caught.value.fix.startswith("Check the folder")


def test_a_copy_that_is_there_is_told_from_another_file(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("text")
    assert not see_same(source, target)
    target.write_text("text")
    assert see_same(source, target)
    target.write_text("other")
    with pytest.raises(BadOutput, match="Another file is in the place of the copy of `source`"):
        see_same(source, target)
    target.unlink()
    target.mkdir()
    with pytest.raises(BadOutput, match="Another file"):
        see_same(source, target)


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadOutput, match=r"cannot be written: (Not a directory|File exists)"):
        make_folder(tmp_path / "file" / "out")


def test_a_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **keywords: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(BadOutput, match="Read-only file system"):
        make_folder(tmp_path)
