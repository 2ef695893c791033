"""Folders of other people are not touched, and one's own is held by one command."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from own_folders import opened, texts_in

from ovsskit.errors import BadOutput
from ovsskit.files.own.cache_tag import claim_cache
from ovsskit.files.own.kinds import FIT, KINDS, RUN, STUDY, is_ours
from ovsskit.files.own.own_folder import OwnFolder

HEAD = json.dumps({"ovsskit": "1"}, indent=1)


@pytest.mark.parametrize("record", KINDS)
@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"thesis.tex": ""}, "belong to no"),
        ({".lock": "another program's"}, "belong to no"),
        ({".parts/mine": ""}, "belong to no"),
        ({"masks/a.png": "", "index.html": ""}, "belong to no"),
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
    before = texts_in(tmp_path)
    with pytest.raises(BadOutput, match=message):
        OwnFolder(tmp_path, record)
    assert texts_in(tmp_path) == before


@pytest.mark.parametrize(
    ("record", "name", "text", "what", "there", "where"),
    [
        (RUN, "b.txt", "", "files that belong to no run.", "It has `b.txt`, but no `run", ""),
        (FIT, "b.txt", "", "files that belong to no tuning.", "It has `b.txt`, but no `f", ""),
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
    assert texts_in(tmp_path) == {
        record: HEAD,
        "deep/er/x.txt": "x",
        "mine.txt": "a note",
        ".lock": "",
    }
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
    assert texts_in(tmp_path / "mine") == {"x": "mine"}


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
    before = texts_in(mine)
    with pytest.raises(BadOutput, match="is broken" if name == RUN else "belong to no run"):
        OwnFolder(tmp_path / "out", RUN)
    assert texts_in(mine) == before
    assert [one.name for one in (tmp_path / "out").iterdir()] == [name]


def test_a_folder_that_is_a_link_itself_is_fine(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk")
    with opened(tmp_path / "out") as folder:
        folder.write_text("masks/x", "x")
    assert (tmp_path / "disk" / "masks" / "x").read_text() == "x"


def test_a_folder_in_use_is_refused_until_it_is_closed(tmp_path: Path) -> None:
    with opened(tmp_path, FIT), pytest.raises(BadOutput) as caught:
        OwnFolder(tmp_path, FIT)
    assert caught.value.what == "Another tuning is writing into this folder."
    assert str(caught.value.where) == str(tmp_path)
    with opened(tmp_path, FIT):
        pass


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
    assert texts_in(tmp_path)[".parts/mine.part"] == texts_in(tmp_path)[".mine.part"] == "mine"
