"""A large file is read once for each time that it changes, by all processes together."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from ovsskit.files import digests
from ovsskit.files.digests import digest_path


def test_a_file_is_read_again_only_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one")
    first = digest_path(file)
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert digest_path(file) == first
    monkeypatch.undo()
    file.write_text("other")
    assert digest_path(file) != first


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file whose digest is worth keeping, and which was changed long ago."""
    monkeypatch.setenv("OVSSKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "LARGE", 4)
    monkeypatch.setattr(digests, "SETTLED", -1)
    file = tmp_path / "large"
    file.write_bytes(b"content")
    return file


def new_process() -> None:
    digests._digest_file.cache_clear()


def test_a_large_file_is_read_once_by_all_processes(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = digest_path(large)
    new_process()
    monkeypatch.setattr(digests, "_hash", None)
    assert digest_path(large) == first == hashlib.sha256(b"content").hexdigest()


@pytest.mark.parametrize("keeps_time", [True, False])
def test_a_large_file_that_changed_is_read_again(large: Path, keeps_time: bool) -> None:
    first, status = digest_path(large), large.stat()
    large.write_bytes(b"CONTENT")
    if keeps_time:
        os.utime(large, ns=(status.st_atime_ns, status.st_mtime_ns))
    new_process()
    assert digest_path(large) != first


def test_a_file_changed_just_now_is_not_remembered(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "SETTLED", 10**18)
    digest_path(large)
    assert not list(large.parent.glob("cache/digests/*"))


@pytest.mark.parametrize("note", ["", "{", "[]", "null", '{"file": 1}', "\xff", '{"sha256": "x"}'])
def test_notes_that_cannot_be_read_are_made_anew(large: Path, note: str) -> None:
    first = digest_path(large)
    [entry] = large.parent.glob("cache/digests/*.json")
    for content in (note, entry.read_text().replace(first, "0" * 63)):
        entry.write_text(content, encoding="latin-1")
        new_process()
        assert digest_path(large) == first


def test_a_cache_that_cannot_be_written_is_done_without(large: Path) -> None:
    (large.parent / "cache").touch()
    assert digest_path(large) == hashlib.sha256(b"content").hexdigest()
