"""Nothing is written outside the folder or through links, and a folder that is gone is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from own_folders import opened, texts_in

from ovsskit.errors import CannotWrite
from ovsskit.files.own.written import measure, measure_text


def test_links_that_come_later_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").write_text("mine")
    with opened(tmp_path / "out") as folder:
        (tmp_path / "out" / "masks").symlink_to(tmp_path / "mine")
        (tmp_path / "out" / "log").symlink_to(tmp_path / "mine" / "x")
        for act in (
            lambda: folder.write_text("masks/x", "ours"),
            lambda: folder.write_text("masks/new/x", "ours"),
            lambda: folder.delete("masks/x"),
            lambda: folder.append("log", "ours"),
        ):
            with pytest.raises(CannotWrite, match="nothing is written through links"):
                act()
        folder.write_text("log", "ours")
        folder.delete("log")
    assert texts_in(tmp_path / "mine") == {"x": "mine"}


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "", "."])
def test_what_would_leave_the_folder_is_an_error_of_the_program(tmp_path: Path, name: str) -> None:
    with opened(tmp_path / "out") as folder, pytest.raises(ValueError, match="not inside"):
        folder.write_text(name, "x")
    assert texts_in(tmp_path) == {"out/.lock": ""}


def test_lines_are_added_and_what_is_not_there_need_not_be_deleted(tmp_path: Path) -> None:
    with opened(tmp_path) as folder:
        folder.append("deep/log", "one")
        folder.append("deep/log", "two")
        folder.delete("deep/none")
        folder.delete("deep/log")
        folder.append("log", "three")
    assert texts_in(tmp_path) == {".lock": "", "log": "three\n"}


@pytest.mark.parametrize("gone", [False, True])
def test_what_the_system_refuses_is_told_unless_the_folder_is_gone(
    tmp_path: Path, gone: bool
) -> None:
    with opened(tmp_path / "out") as folder:

        def fail(file: object) -> None:
            if gone:
                shutil.move(tmp_path / "out", tmp_path / "moved")
            raise OSError(28, "No space left on device")

        with pytest.raises(CannotWrite, match="removed" if gone else "The disk is full"):
            folder.write("masks/a", fail)
    left = tmp_path / ("moved" if gone else "out")
    assert [name for name in texts_in(left) if not name.startswith(".parts/")] == [".lock"]


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    with opened(tmp_path) as folder:
        folder.write_text("masks", "a file")
        (tmp_path / "log").mkdir()
        for act in (
            lambda: folder.write_text("masks/a", "x"),
            lambda: folder.append("log", "x"),
            lambda: folder.delete("log"),
        ):
            with pytest.raises(CannotWrite, match="The file cannot be written: "):
                act()
    assert texts_in(tmp_path)["masks"] == "a file"


@pytest.mark.parametrize("again", [False, True])
def test_a_folder_that_was_taken_away_is_not_made_again(tmp_path: Path, again: bool) -> None:
    with opened(tmp_path / "out") as folder:
        folder.write_text("masks/a", "x")
        shutil.move(tmp_path / "out", tmp_path / "moved")
        if again:
            (tmp_path / "out").mkdir()
        for act in (
            lambda: folder.write_text("masks/b", "x"),
            lambda: folder.append("log", "x"),
            lambda: folder.delete("masks/a"),
        ):
            with pytest.raises(CannotWrite, match="removed"):
                act()
    assert (tmp_path / "out").exists() == again
    assert texts_in(tmp_path / "moved") == {".lock": "", "masks/a": "x"}


def test_a_file_is_held_as_it_was_written(tmp_path: Path) -> None:
    with opened(tmp_path) as folder:
        written = folder.write_text("masks/a", "12345")
        path = tmp_path / "masks" / "a"
        assert written == measure(path) == measure_text("12345")
        assert written.size == 5
        assert folder.holds("masks/a", written, verify=True)
        path.write_text("12346")
        assert folder.holds("masks/a", written)
        assert not folder.holds("masks/a", written, verify=True)
        path.write_text("1234")
        assert not folder.holds("masks/a", written)
        path.unlink()
        assert not folder.holds("masks/a", written)
        path.mkdir()
        assert not folder.holds("masks/a", written)


def test_a_link_replaces_a_link_and_leaves_what_it_points_to(tmp_path: Path) -> None:
    targets = [tmp_path / name for name in "ab"]
    for target in targets:
        target.write_text(target.name)
    with opened(tmp_path / "out") as folder:
        for target in targets:
            folder.link("images/x.png", target)
        assert (tmp_path / "out/images/x.png").readlink() == targets[1]
        folder.write_text("images/x.png", "ours")
    assert [target.read_text() for target in targets] == ["a", "b"]
    assert texts_in(tmp_path / "out")["images/x.png"] == "ours"
