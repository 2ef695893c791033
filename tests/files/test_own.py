"""Folders of other people are not touched, and nothing is written outside one's own."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ovsskit.errors import BadOutput, CannotWrite
from ovsskit.files.own import (
    FIT,
    KINDS,
    RUN,
    STUDY,
    TAG,
    TAGGED,
    OwnFolder,
    claim_cache,
    is_ours,
    measure,
    measure_text,
)

HEAD = json.dumps({"ovsskit": "1"}, indent=1)


@contextmanager
def opened(path: Path, record: str = RUN) -> Iterator[OwnFolder]:
    folder = OwnFolder(path, record)
    try:
        yield folder
    finally:
        folder.close()


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("record", KINDS)
@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"thesis.tex": ""}, "are of no"),
        ({".lock": "another program's"}, "are of no"),
        ({".parts/mine": ""}, "are of no"),
        ({"masks/a.png": "", "index.html": ""}, "are of no"),
        ({"{record}": "mine"}, "broken"),
        ({"{record}": "[]"}, "broken"),
        ({"{other}": HEAD}, "The folder holds a "),
    ],
)
def test_a_folder_of_others_is_refused_and_stays_as_it_is(
    tmp_path: Path, record: str, files: dict[str, str], message: str
) -> None:
    other = STUDY if record != STUDY else FIT
    for name, text in files.items():
        path = tmp_path / name.format(record=record, other=other)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    before = tree(tmp_path)
    with pytest.raises(BadOutput, match=message):
        OwnFolder(tmp_path, record)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("record", "name", "text", "what", "there", "where"),
    [
        (RUN, "b.txt", "", "holds files that are of no run.", "There is `b.txt`, and no `run", ""),
        (FIT, "b.txt", "", "holds files that are of no tuning.", "There is `b.txt`, and no `f", ""),
        (STUDY, RUN, HEAD, "holds a run, not a study.", "", ""),
        (RUN, FIT, HEAD, "holds a tuning, not a run.", "", ""),
        (FIT, STUDY, HEAD, "holds a study, not a tuning.", "", ""),
        (STUDY, STUDY, "{}", "record of the study in this folder is broken.", "", STUDY),
    ],
)
def test_the_reason_names_what_the_folder_holds(
    tmp_path: Path, record: str, name: str, text: str, what: str, there: str, where: str
) -> None:
    (tmp_path / "c.txt").write_text("")
    (tmp_path / name).write_text(text)
    with pytest.raises(BadOutput) as caught:
        OwnFolder(tmp_path, record)
    assert caught.value.what.endswith(what)
    assert caught.value.there.startswith(there)
    assert bool(caught.value.there) == bool(there)
    assert caught.value.fix.startswith("Name another folder with --out")
    assert str(caught.value.where) == str(tmp_path / where)


@pytest.mark.parametrize("reason", ["Permission denied", None])
def test_a_folder_that_cannot_be_looked_into_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str | None
) -> None:
    error = OSError(13, reason) if reason else OSError("odd")

    def refuse(path: object) -> list[str]:
        raise error

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(BadOutput, match=f"The output folder cannot be read: {reason or 'odd'}."):
        OwnFolder(tmp_path, RUN)
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(BadOutput, match=f"The folder cannot be read: {reason or 'odd'}."):
        claim_cache(tmp_path, re.compile("[a-z]+"))


def test_a_record_that_cannot_be_read_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / RUN).write_text(HEAD)
    assert is_ours(tmp_path)
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / RUN).symlink_to(tmp_path / RUN)
    assert not is_ours(tmp_path / "link")

    def refuse(*what: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert not is_ours(tmp_path)


@pytest.mark.parametrize("record", KINDS)
def test_an_empty_folder_and_one_of_its_own_are_used(tmp_path: Path, record: str) -> None:
    for _ in range(2):  # the second time with what an ended command leaves
        with opened(tmp_path, record) as folder:
            assert not folder.is_claimed
    with opened(tmp_path, record) as folder:
        folder.write_text(record, HEAD)
        folder.write_text("deep/er/x.txt", "x")
    (tmp_path / "mine.txt").write_text("a note")
    with opened(tmp_path, record) as folder:
        assert folder.is_claimed
    assert tree(tmp_path) == {record: HEAD, "deep/er/x.txt": "x", "mine.txt": "a note", ".lock": ""}
    assert is_ours(tmp_path)
    assert not is_ours(tmp_path / "deep")


@pytest.mark.parametrize("name", ["masks", "index.html", ".lock", "gallery/thumbs", ".parts"])
def test_a_folder_with_a_link_inside_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").write_text("mine")
    with opened(tmp_path / "out") as folder:
        folder.write_text(RUN, HEAD)
        folder.write_text("gallery/x", "x")
    (tmp_path / "out" / ".lock").unlink()
    (tmp_path / "out" / name).symlink_to(tmp_path / "mine", target_is_directory=True)
    with pytest.raises(BadOutput, match="symbolic link") as caught:
        OwnFolder(tmp_path / "out", RUN)
    assert str(caught.value.where) == str(tmp_path / "out" / name)
    assert tree(tmp_path / "mine") == {"x": "mine"}


@pytest.mark.parametrize(
    ("name", "target"), [("a/b/c/up", ".."), ("a/b/gone", "nowhere"), ("a/file", "../run.json")]
)
def test_links_deep_in_a_folder_are_found_and_not_followed(
    tmp_path: Path, name: str, target: str
) -> None:
    with opened(tmp_path) as folder:
        folder.write_text(RUN, HEAD)
    link = tmp_path / name
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    with pytest.raises(BadOutput, match="A symbolic link is in the folder") as caught:
        OwnFolder(tmp_path, RUN)
    assert str(caught.value.where) == str(link)
    assert caught.value.fix == "Remove the link, or name another folder with --out."
    assert link.is_symlink()


@pytest.mark.parametrize("name", [".lock", ".parts", RUN])
def test_a_link_in_the_place_of_what_a_command_leaves_is_of_somebody_else(
    tmp_path: Path, name: str
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / f"{'0a' * 16}.part").write_text("mine")
    (mine / "empty").write_text("")
    (mine / "record").write_text(HEAD)
    (tmp_path / "out").mkdir()
    targets = {".lock": mine / "empty", ".parts": mine, RUN: mine / "record"}
    (tmp_path / "out" / name).symlink_to(targets[name])
    before = tree(mine)
    with pytest.raises(BadOutput, match="is broken" if name == RUN else "are of no run"):
        OwnFolder(tmp_path / "out", RUN)
    assert tree(mine) == before
    assert [one.name for one in (tmp_path / "out").iterdir()] == [name]


def test_a_folder_that_is_a_link_itself_is_fine(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk")
    with opened(tmp_path / "out") as folder:
        folder.write_text("masks/x", "x")
    assert (tmp_path / "disk" / "masks" / "x").read_text() == "x"


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
    assert tree(tmp_path / "mine") == {"x": "mine"}


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "", "."])
def test_what_would_leave_the_folder_is_an_error_of_the_program(tmp_path: Path, name: str) -> None:
    with opened(tmp_path / "out") as folder, pytest.raises(ValueError, match="not inside"):
        folder.write_text(name, "x")
    assert tree(tmp_path) == {"out/.lock": ""}


def test_lines_are_added_and_what_is_not_there_need_not_be_deleted(tmp_path: Path) -> None:
    with opened(tmp_path) as folder:
        folder.append("deep/log", "one")
        folder.append("deep/log", "two")
        folder.delete("deep/none")
        folder.delete("deep/log")
        folder.append("log", "three")
    assert tree(tmp_path) == {".lock": "", "log": "three\n"}


def test_a_folder_in_use_is_refused_until_it_is_closed(tmp_path: Path) -> None:
    with opened(tmp_path, FIT), pytest.raises(BadOutput) as caught:
        OwnFolder(tmp_path, FIT)
    assert caught.value.what == "Another tuning is writing into this folder."
    assert str(caught.value.where) == str(tmp_path)
    with opened(tmp_path, FIT):
        pass


@pytest.mark.parametrize("gone", [False, True])
def test_what_the_system_refuses_is_told_unless_the_folder_is_gone(
    tmp_path: Path, gone: bool
) -> None:
    with opened(tmp_path / "out") as folder:

        def fail(file: object) -> None:
            if gone:
                shutil.move(tmp_path / "out", tmp_path / "moved")
            raise OSError(28, "No space left on device")

        with pytest.raises(CannotWrite, match="taken away" if gone else "The disk is full"):
            folder.write("masks/a", fail)
    left = tmp_path / ("moved" if gone else "out")
    assert [name for name in tree(left) if not name.startswith(".parts/")] == [".lock"]


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
    assert tree(tmp_path)["masks"] == "a file"


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
            with pytest.raises(CannotWrite, match="taken away"):
                act()
    assert (tmp_path / "out").exists() == again
    assert tree(tmp_path / "moved") == {".lock": "", "masks/a": "x"}


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


def test_what_a_killed_command_left_half_written_goes(tmp_path: Path) -> None:
    (tmp_path / ".parts").mkdir()
    (tmp_path / ".parts" / f"{'0a' * 16}.part").write_text("half")
    with opened(tmp_path):
        assert not list((tmp_path / ".parts").iterdir())
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    with opened(tmp_path) as folder:
        folder.write_text(RUN, HEAD)
    (tmp_path / ".parts").mkdir()
    (tmp_path / ".parts" / "mine.part").write_text("mine")
    (tmp_path / ".mine.part").write_text("mine")
    with opened(tmp_path):
        pass
    assert tree(tmp_path)[".parts/mine.part"] == tree(tmp_path)[".mine.part"] == "mine"


@pytest.mark.parametrize("there", [[], ["abc"], ["abc", f".{'0a' * 16}.part"]])
def test_a_folder_in_which_things_are_kept_is_marked(tmp_path: Path, there: list[str]) -> None:
    folder, kept = tmp_path / "deep" / "er", re.compile("[a-z]+")
    folder.mkdir(parents=True)
    for name in there:
        (folder / name).write_text("")
    claim_cache(folder, kept)
    assert tree(folder) == {**dict.fromkeys(there, ""), TAG: TAGGED}
    (folder / "Mine 1").write_text("a note")
    claim_cache(folder, kept)
    assert (folder / "Mine 1").read_text() == "a note"


@pytest.mark.parametrize("there", ["Mine 1", TAG, "link", "tag is a folder"])
def test_things_are_not_kept_among_those_of_others(tmp_path: Path, there: str) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    path = folder / (there if there == "Mine 1" else TAG)
    if there == "link":
        (tmp_path / "tag").write_text(TAGGED)
        path.symlink_to(tmp_path / "tag")
    elif there == "tag is a folder":
        path.mkdir()
    else:
        path.write_text("mine")
    with pytest.raises(BadOutput, match="not kept there by ovsskit") as caught:
        claim_cache(folder, re.compile("[a-z]+"))
    assert caught.value.there.startswith(f"There is `{path.name}`")
    assert [one.name for one in folder.iterdir()] == [path.name]


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
    assert tree(tmp_path / "out")["images/x.png"] == "ours"
