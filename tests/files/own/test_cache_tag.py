"""Folders in which things are kept are marked, and those of others are refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from own_folders import texts_in

from ovsskit.errors import BadOutput
from ovsskit.files.own.cache_tag import TAG, TAGGED, claim_cache


@pytest.mark.parametrize("there", [[], ["abc"], ["abc", f".{'0a' * 16}.part"]])
def test_a_folder_in_which_things_are_kept_is_marked(tmp_path: Path, there: list[str]) -> None:
    folder, kept = tmp_path / "deep" / "er", re.compile("[a-z]+")
    folder.mkdir(parents=True)
    for name in there:
        (folder / name).write_text("")
    claim_cache(folder, kept)
    assert texts_in(folder) == {**dict.fromkeys(there, ""), TAG: TAGGED}
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
    assert caught.value.there.startswith(f"It has `{path.name}`")
    assert [one.name for one in folder.iterdir()] == [path.name]
