from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from ovsskit.errors import BadOutput, CannotWrite
from ovsskit.output.files import make_folder, write_text, write_whole


def full(*arguments: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    def half(file: Any) -> None:
        file.write(b"half")
        full()

    with pytest.raises(CannotWrite, match="The disk is full") as caught:
        write_whole(tmp_path / "one.txt", half)
    assert caught.value.status == 1
    assert not list(tmp_path.iterdir())


def test_what_was_there_stays_until_the_new_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "one.txt", "old")
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(CannotWrite):
        write_text(tmp_path / "one.txt", "new")
    assert (tmp_path / "one.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write_whole(tmp_path / "one.txt", lambda _: 1 / 0)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadOutput, match=r"cannot be written: (Not a directory|File exists)"):
        make_folder(tmp_path / "file" / "out")


def test_a_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(BadOutput, match="Read-only file system"):
        make_folder(tmp_path)
