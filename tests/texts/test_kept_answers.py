"""Answers are kept on disk, and only there where nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from endpoint import Expand, Server

from ovsskit.errors import BadOutput
from ovsskit.texts.generate import Answers


def test_a_broken_answer_on_disk_is_asked_for_again(
    server: Server, expand: Expand, tmp_path: Path
) -> None:
    assert expand("--out", "one.toml", classes="dog").status == 0
    [kept] = (tmp_path / "cache" / "ovsskit" / "answers").glob("*.json")
    assert json.loads(kept.read_text()) == {
        "model": f"teller at {server.url}",
        "prompt": "What is a <dog>?",
        "answer": "a thing like a dog",
    }
    for broken in ("{", "[]", '{"answer": 3}'):
        kept.write_text(broken)
        assert expand("--out", "one.toml", "--force", classes="dog").status == 0
    assert server.asked == ["dog"] * 4


def test_a_folder_of_others_takes_no_answers(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(BadOutput, match="not kept there"):
        Answers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_answers_that_were_kept_before_folders_were_marked_are_used(tmp_path: Path) -> None:
    kept = Answers(tmp_path / "kept")
    kept.keep("model", "prompt", "answer")
    (tmp_path / "kept" / "CACHEDIR.TAG").unlink()
    assert Answers(tmp_path / "kept").find("model", "prompt") == "answer"
